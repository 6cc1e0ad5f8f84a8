/// A version-control system whose authors are known as users, under the attribute of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vcs {
    Git,
    Svn,
    Hg,
    Cvs,
    Darcs,
    Bzr,
    Mtn,
    P4,
}

impl Vcs {
    /// 0.8's six first.
    pub const ALL: [Vcs; 8] = [Vcs::Git, Vcs::Svn, Vcs::Hg, Vcs::Cvs, Vcs::Darcs, Vcs::Bzr, Vcs::Mtn, Vcs::P4];

    pub fn name(self) -> &'static str {
        match self {
            Vcs::Git => "git",
            Vcs::Svn => "svn",
            Vcs::Hg => "hg",
            Vcs::Cvs => "cvs",
            Vcs::Darcs => "darcs",
            Vcs::Bzr => "bzr",
            Vcs::Mtn => "mtn",
            Vcs::P4 => "p4",
        }
    }

    /// `None` for one whose authors nobody can be known by, such as the `Google Code` of its hook.
    pub fn named(name: &str) -> Option<Vcs> {
        Vcs::ALL.into_iter().find(|vcs| vcs.name() == name)
    }
}
