//! Who may do what: the manual's flags first, then `authz`.

use super::config::Config;
use crate::master::authz::{Action, Authz, Speaker, Subject};

/// What a configuration lets people do.
pub struct Rights {
    allow_force: bool,
    allow_shutdown: bool,
    /// `None`: what the flags open is open to everybody, as in 0.8.
    authz: Option<Authz>,
}

/// The answer to somebody who may not; a sentence for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} control is not enabled")]
    Off(&'static str),
    #[error("sorry, you may not {}{}", .what, if *.logged_in { "" } else { ": log in to services first" })]
    NotYou { what: &'static str, logged_in: bool },
}

impl Rights {
    pub fn of(config: &Config) -> Rights {
        Rights {
            allow_force: config.allow_force,
            allow_shutdown: config.allow_shutdown,
            authz: config.authz.clone().map(Authz::new),
        }
    }

    /// What nobody may, whoever they are.
    pub fn open(&self, action: Action) -> Result<(), Refusal> {
        match action {
            Action::ForceBuild | Action::StopBuild if !self.allow_force => Err(Refusal::Off("builder")),
            Action::CleanShutdown if !self.allow_shutdown => Err(Refusal::Off("shutdown")),
            _ => Ok(()),
        }
    }

    /// Whether it matters who asks.
    pub fn depends(&self) -> bool {
        self.authz.is_some()
    }

    pub async fn allows(&self, speaker: &Speaker, action: Action, subject: Subject<'_>) -> Result<(), Refusal> {
        self.open(action)?;
        match &self.authz {
            Some(authz) if !authz.allows_speaker(speaker, action, subject).await => {
                Err(Refusal::NotYou { what: what(action), logged_in: speaker.account.is_some() })
            }
            _ => Ok(()),
        }
    }
}

/// What people would have done, after `may not`.
fn what(action: Action) -> &'static str {
    match action {
        Action::ForceBuild => "force builds",
        Action::StopBuild => "stop builds",
        Action::CleanShutdown => "shut the master down",
        Action::JoinChannel => "send me into channels or out of them",
        Action::View => "look at builds",
        _ => "do this",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Section};
    use serde_json::{Value, json};

    fn rights(options: Value) -> Rights {
        let mut all = json!({ "host": "h", "nick": "n", "channels": [] });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let mut problems = Problems::default();
        let config = Config::read(&Section::new("status.IRC", "master.cfg:1", all), &mut problems).unwrap();
        // Notes are no problems.
        assert!(problems.0.iter().all(|problem| problem.message.contains("no effect without")), "{problems}");
        Rights::of(&config)
    }

    fn authz(options: Value) -> Value {
        json!({ "$call": "util.Authz", "$place": "master.cfg:2", "$options": options })
    }

    fn speaker(nick: &str, account: Option<&str>) -> Speaker {
        Speaker { account: account.map(str::to_owned), mask: format!("{nick}!{nick}@shell.example.org") }
    }

    #[actix::test]
    async fn without_authz_the_flags_decide() {
        let (eve, nothing) = (speaker("eve", None), Subject::Nothing);
        let shut = rights(json!({}));
        assert_eq!(shut.allows(&eve, Action::StopBuild, nothing).await, Err(Refusal::Off("builder")));
        assert_eq!(shut.allows(&eve, Action::CleanShutdown, nothing).await, Err(Refusal::Off("shutdown")));
        assert_eq!(shut.allows(&eve, Action::JoinChannel, nothing).await, Ok(()));
        let open = rights(json!({ "allowForce": true, "allowShutdown": true }));
        for action in [Action::ForceBuild, Action::StopBuild, Action::CleanShutdown, Action::View] {
            assert_eq!(open.allows(&eve, action, nothing).await, Ok(()));
        }
    }

    #[actix::test]
    async fn with_it_accounts_and_hosts_count_and_nicks_do_not() {
        let list = json!(["ann", "*!*@shell.example.org"]);
        let options = json!({ "forceBuild": ["ann"], "stopBuild": list, "cleanShutdown": "auth" });
        let some = rights(json!({ "allowForce": true, "authz": authz(options.clone()), "allowShutdown": true }));
        let may = async |speaker: &Speaker, action| some.allows(speaker, action, Subject::Nothing).await.is_ok();
        let (ann, bob, false_ann) = (speaker("x", Some("Ann")), speaker("bob", Some("bob")), speaker("ann", None));
        assert!(may(&ann, Action::ForceBuild).await && !may(&bob, Action::ForceBuild).await);
        assert!(!may(&false_ann, Action::ForceBuild).await && may(&false_ann, Action::StopBuild).await);
        assert!(may(&bob, Action::CleanShutdown).await && !may(&false_ann, Action::CleanShutdown).await);
        assert!(may(&false_ann, Action::View).await && !may(&bob, Action::JoinChannel).await);
        let refused = some.allows(&false_ann, Action::ForceBuild, Subject::Nothing).await.unwrap_err();
        assert_eq!(refused.to_string(), "sorry, you may not force builds: log in to services first");
        // What is permitted does not open what is shut.
        let shut = rights(json!({ "authz": authz(options) }));
        assert_eq!(shut.allows(&ann, Action::ForceBuild, Subject::Nothing).await, Err(Refusal::Off("builder")));
    }
}
