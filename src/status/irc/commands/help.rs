//! `help`, `commands`

use super::{Act, Call, Sorry, Verb, say};

pub const USAGE: &str = "help <command> [<arg> [<subarg> ...]] - Give help for <command> or one of it's arguments";
pub const COMMANDS_USAGE: &str = "commands - List available commands";

pub fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let Some((name, topics)) = words.split_first() else {
        let hint = "try 'help <foo>', 'help <foo> <bar>, or 'commands' for a command list";
        return Ok(say(format!("Get help on what? ({hint})")));
    };
    let Some(verb) = Verb::parse(name) else {
        return Err(Sorry::Said(format!("no such command '{name}'")));
    };
    match verb.usage(topics) {
        Some(usage) => Ok(say(format!("Usage: {usage}"))),
        None => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            Ok(say(format!("No usage info for {}", quoted.join(" "))))
        }
    }
}

pub fn commands() -> Vec<Act> {
    let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
    say(format!("buildbot commands: {}", words.join(", ")))
}
