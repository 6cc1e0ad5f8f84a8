//! The master.cfg a new master gets.

/// The sample, with its placeholders still in it.
const SAMPLE: &str = include_str!("sample.cfg");

/// What is filled into the sample.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    /// The master's folder, as people name it on the command line.
    pub basedir: &'a str,
    /// The repository to build: a path or address git understands.
    pub repository: &'a str,
    pub branch: &'a str,
    /// The title of the pages: the name of the project.
    pub title: &'a str,
}

/// The sample configuration for one repository.
pub fn sample(values: &Sample<'_>) -> String {
    SAMPLE
        .replace("@REPOSITORY@", &literal(values.repository))
        .replace("@BRANCH@", &literal(values.branch))
        .replace("@TITLE@", &literal(values.title))
        // Stands in comments only.
        .replace("@BASEDIR@", &values.basedir.replace(['\n', '\r'], " "))
}

/// A text as the configuration writes it.
fn literal(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                literal.push('\\');
                literal.push(c);
            }
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_written_so_that_it_reads_back() {
        assert_eq!(literal("/a b/\"c\"\\d\n"), "\"/a b/\\\"c\\\"\\\\d\\n\"");
    }
}
