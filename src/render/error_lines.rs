//! Which lines of a log look like errors: those a person would look for first after a build has failed.
//!
//! Compilers, test runners and shells have a few ways of saying so, and a log has many lines that only speak of errors:
//! `0 errors`, `error_log.c`, `continue-on-error: true`, a test of error messages that went well. A line counts where it
//! says that something went wrong, and when in doubt it does not: a list that is mostly wrong is read by nobody.

use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;
use std::sync::LazyLock;

/// Ways of saying that something went wrong, by who says it.
const SAID: &[&str] = &[
    // Compilers, and whoever talks like them: `x.c:3: error: …`, `error[E0308]:`, `error C2065`, `error TS2304`.
    r"\b(?i:fatal error|internal compiler error|error)(?:\[\w+\])?:",
    r"\b(?i:error) [A-Z]{1,6}[0-9]{2,6}\b",
    r"\b(?i:fatal):",
    r"\bundefined reference to\b",
    r"\bunresolved external symbol\b",
    r"^\s*(?:CMake )?Error (?:at|in|while|when|during|reading|loading|opening)\b",
    // Test runners: `--- FAIL:`, `FAILED test_x.py::test_y`, `not ok 3`, `3 failed`, `Failures: 2`.
    r"\b(?:ERROR|FATAL|FAILED|FAILURE|FAIL)\b",
    r"^\s*not ok\b",
    r"^\s*(?:✗|✘|✖)\s",
    r"\b[1-9][0-9]* (?:tests? )?(?:failed|failures?|errors?)\b",
    r"\b(?:[Ff]ailures?|[Ee]rrors|[Ff]ailed): *[1-9]",
    r"\b(?i:assertion)\b.*\bfailed\b",
    // Languages, and what is left of their programs.
    r"\bTraceback \(most recent call last\)",
    r"^(?:E\s+|Caused by: |Uncaught )?(?:[\w.]*\w)?(?:Error|Exception)(?::\s|\s*$)",
    r"\bException in thread\b",
    r"\bpanicked at\b",
    r"^panic: ",
    r"\b(?i:segmentation fault)\b",
    r"\bcore dumped\b",
    r"\b(?:Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer:",
    // Whoever runs the others: `make: *** [all] Error 2`, `exit code 1`, `npm ERR!`.
    r"\*\*\* .*(?:\bError [0-9]+|\bStop\.)",
    r"\b(?i:exit(?:ed)?(?: with)?(?: a)? (?:code|status):?) -?[1-9]",
    r"\bERR! ",
    r": command not found\b",
    r"##\[error\]",
    r"\b(?:level|severity)=(?i:error|fatal|panic)\b",
    r"\b(?i:build|command|compilation|job|step|task|tests?) failed\b",
];

/// What stands before such words where nothing has gone wrong.
const DENIED_BEFORE: &str =
    r"(?:^|\W)(?i:0|no|without|zero|any|ignor(?:e|ed|es|ing)|expect(?:ed|s)?|should|must|if|on|not)\s+$";

/// What stands after them.
const DENIED_AFTER: &str = r#"^["')\]]?[\s:=]*(?i:0(?:[^\w.]|$)|(?:none|nil|null|false|ok)\s*(?:[,;)}\]]|$))"#;

/// A test, perhaps of errors, that went well.
const WENT_WELL: &str = r"^\s*(?:(?:ok|PASS|PASSED)\b|(?:✓|✔)\s)|\b(?:ok|OK|PASS|PASSED)\s*$";

static PATTERNS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    let said = SAID.join("|");
    [said.as_str(), DENIED_BEFORE, DENIED_AFTER, WENT_WELL].map(|pattern| {
        let built = RegexBuilder::new(pattern).unicode(false).build();
        built.expect("the patterns above are regular expressions")
    })
});

/// Where a line says that something went wrong. It comes without its colours and its end.
pub(super) fn find(line: &[u8]) -> Option<Range<usize>> {
    let [said, denied_before, denied_after, went_well] = &*PATTERNS;
    let is_meant = |place: &Range<usize>| {
        let (head, tail) = (&line[..place.start], &line[place.end..]);
        !is_in_a_name(line, place) && !denied_before.is_match(head) && !denied_after.is_match(tail)
    };
    let place = said.find_iter(line).map(|place| place.range()).find(is_meant)?;
    if went_well.is_match(line) { None } else { Some(place) }
}

/// `continue-on-error: true`, `libgpg-error`, `std::error::Error`, `ERROR.txt`
fn is_in_a_name(line: &[u8], place: &Range<usize>) -> bool {
    let end = if line[..place.end].ends_with(b":") { place.end - 1 } else { place.end };
    let after = match &line[end..] {
        [b':', b':', ..] | [b'-' | b'/' | b'\\', ..] => true,
        [b'.', next, ..] => next.is_ascii_alphanumeric(),
        _ => false,
    };
    after || line[..place.start].last().is_some_and(|byte| b"-_./\\$".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_seen() {
        for line in [
            "src/torque.c:118:9: error: 'moth' undeclared (first use in this function)",
            "src/x.c:1:10: fatal error: no_such.h: No such file or directory",
            "error[E0308]: mismatched types",
            "main.cpp(12): error C2065: 'x': undeclared identifier",
            "a.ts(3,5): error TS2304: Cannot find name 'x'.",
            "fatal: not a git repository (or any of the parent directories): .git",
            "/usr/bin/ld: x.o: in function `main': undefined reference to `count'",
            "CMake Error at CMakeLists.txt:3 (find_package):",
            "make[2]: *** [Makefile:31: check] Error 1",
            "make: *** No rule to make target 'all'.  Stop.",
            "[ERROR] Failed to execute goal",
            "2026-11-22 10:00:01 ERROR  server went away",
            "ts=10:00 level=error msg=\"it broke\"",
            "FAILED tests/test_cards.py::test_count - AssertionError",
            "--- FAIL: TestTorque (0.01s)",
            "[  FAILED  ] Torque.Cold (3 ms)",
            "test torque::when_cold ... FAILED",
            "test result: FAILED. 1833 passed; 1 failed; 0 ignored",
            "========= 3 failed, 1834 passed in 31.02s =========",
            "Tests run: 12, Failures: 1, Errors: 0",
            "not ok 3 - measures twice",
            "  ✗ measures twice",
            "assertion failed: torque(-20) == 7.5",
            "a.out: x.c:3: main: Assertion `x == 1' failed.",
            "Traceback (most recent call last):",
            "ValueError: too cold",
            "E   ValueError: too cold",
            "KeyboardException",
            "Caused by: java.lang.NullPointerException: cards",
            "Exception in thread \"main\" java.lang.RuntimeException",
            "thread 'main' panicked at src/main.rs:3:5:",
            "panic: runtime error: index out of range",
            "Segmentation fault (core dumped)",
            "==7==ERROR: AddressSanitizer: heap-use-after-free",
            "npm ERR! code ELIFECYCLE",
            "sh: 1: mak: command not found",
            "##[error]Process completed.",
            "Process completed with exit code 1.",
            "FAILURE: Build failed with an exception.",
            "** BUILD FAILED **",
            "error: no matching function for call to 'turn'",
            "\u{fffd}ERROR \u{e4}",
        ] {
            assert!(find(line.as_bytes()).is_some(), "{line}");
        }
        assert!(find(b"\xff\xfe ERROR \x80").is_some(), "what is no text can say so as well");
    }

    #[test]
    fn what_only_speaks_of_errors_is_not_one() {
        for line in [
            "",
            "0 errors, 3 warnings",
            "compiled with no errors",
            "There were 0 errors.",
            "Tests run: 12, Failures: 0, Errors: 0",
            "# FAIL:  0",
            "# ERROR: 0",
            "100% tests passed, 0 tests failed out of 12",
            "1834 passed; 0 failed",
            "gcc -Werror -Wno-error=unused -c src/error_log.c -o error_log.o",
            "   Compiling thiserror v2.0.0",
            "  Downloaded libgpg-error v1.2",
            "use std::error::Error;",
            "continue-on-error: true",
            "error: null,",
            "\"error\": false",
            "NO_ERROR=1",
            "copying docs/ERROR.txt",
            "docs/ERROR-handling.rst",
            "test parser::says_error: that_it_means ... ok",
            "ok 12 - FAIL: is shown in red",
            "PASS: ERROR handling",
            "✓ ERROR is shown in red",
            "x.c:3:9: warning: unused variable 'errors' [-Wunused-variable]",
            "Errors are written to errors.txt",
            "ignoring ERROR of the first run",
            "program finished with exit code 0",
            "XFAIL tests/x.py::test_it",
            "Terror: a play",
        ] {
            assert_eq!(find(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_denied_word_does_not_hide_another() {
        assert_eq!(find(b"0 errors before, ERROR now"), Some(17..22));
        assert_eq!(find(b"std::error::x: error: mismatch"), Some(15..21));
    }
}
