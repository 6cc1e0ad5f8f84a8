//! A password asked for on the terminal, of which nothing is shown.
//!
//! Crates that do this leave the terminal silent when Ctrl-C ends the program meanwhile.

use std::io::{self, IsTerminal, Read, Write};
use std::mem::MaybeUninit;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

/// Whether there is somebody to ask: standard input is a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// What is typed after `prompt`; `None` if it was given up with Ctrl-C or Ctrl-D.
pub fn ask(prompt: &str) -> io::Result<Option<String>> {
    // First nothing is shown, then it is asked for: so nothing that is typed at once is seen.
    let _silence = Silence::begin()?;
    eprint!("{prompt}");
    io::stderr().flush()?;
    let answer = typed(io::stdin().lock().bytes());
    eprintln!();
    answer
}

/// The terminal neither shows what is typed nor acts on it, until this is dropped: Ctrl-C comes as a letter, so that
/// it cannot end the program and leave the terminal silent.
struct Silence {
    before: libc::termios,
}

impl Silence {
    fn begin() -> io::Result<Silence> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: tcgetattr writes a whole termios where it answers with 0.
        let before = unsafe {
            match libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) {
                0 => before.assume_init(),
                _ => return Err(io::Error::last_os_error()),
            }
        };
        let mut silent = before;
        silent.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG);
        silent.c_cc[libc::VMIN] = 1;
        silent.c_cc[libc::VTIME] = 0;
        set(&silent).map(|()| Silence { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(cause) = set(&self.before) {
            tracing::warn!("cannot make the terminal show what is typed again: {cause}; `stty sane` does");
        }
    }
}

fn set(terminal: &libc::termios) -> io::Result<()> {
    // SAFETY: tcsetattr only reads what it is given.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, terminal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A line, with the few keys that correct one.
fn typed(keys: impl Iterator<Item = io::Result<u8>>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\n' | b'\r' => break,
            CTRL_C => return Ok(None),
            CTRL_D if line.is_empty() => return Ok(None),
            CTRL_D => break,
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => {
                // A letter may have several bytes; all but its first begin with the bits 10.
                while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
            }
            key => line.push(key),
        }
    }
    String::from_utf8(line).map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(keys: &str) -> Option<String> {
        typed(keys.bytes().map(Ok)).unwrap()
    }

    #[test]
    fn a_line_can_be_corrected_and_given_up() {
        assert_eq!(line("wo:rd\nmore").as_deref(), Some("wo:rd"));
        assert_eq!(line("wöö\u{7f}\u{8}rd\r").as_deref(), Some("wrd"));
        assert_eq!(line("\u{7f}no\u{15}yes\u{4}").as_deref(), Some("yes"));
        assert_eq!(line("\n").as_deref(), Some(""));
        assert_eq!((line("wo\u{3}"), line("\u{4}")), (None, None));
        assert!(typed([Ok(0xff), Ok(b'\n')].into_iter()).is_err());
    }
}
