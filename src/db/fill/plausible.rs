//! Making up history that looks like a project's.

use crate::db::DbError;
use crate::db::apply::{
    Texts, WrittenBranch, WrittenBuild, WrittenBuildChange, WrittenBuildset, WrittenLink, WrittenLog, WrittenRequest,
    WrittenStep,
};
use crate::db::changes::Written as WrittenChange;
use crate::db::columns::{SharedText, json};
use crate::db::logs::prepare;
use crate::db::schema::*;
use crate::model::*;
use diesel::prelude::*;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// Between one commit and the next, on average.
const GAP: Duration = Duration::from_secs(20 * 60);

/// The steps of every build, with about how many seconds and lines of log each takes.
const STEPS: [(&str, i64, usize); 4] = [("git", 4, 6), ("compile", 90, 40), ("test", 150, 30), ("package", 12, 5)];

/// Different texts per step; builds share them.
const TEXTS: usize = 24;

/// Rows ready to be written; they own what they say, so that they can change threads.
#[derive(Default)]
pub(super) struct Batch {
    pub changes: Vec<WrittenChange<'static>>,
    pub buildsets: Vec<WrittenBuildset>,
    pub requests: Vec<WrittenRequest>,
    pub builds: Vec<WrittenBuild>,
    pub branches: Vec<WrittenBranch>,
    pub build_changes: Vec<WrittenBuildChange>,
    pub links: Vec<WrittenLink>,
    pub steps: Vec<WrittenStep>,
    pub logs: Vec<WrittenLog>,
    pub pieces: Vec<PieceRow>,
}

#[derive(Insertable)]
#[diesel(table_name = log_chunks, treat_none_as_default_value = false)]
pub(super) struct PieceRow {
    log_id: i64,
    first_byte: i64,
    first_line: i64,
    data: Vec<u8>,
}

/// The next free number of each kind of row.
pub(super) struct Numbers {
    pub build: i64,
    pub log: i64,
    pub request: i64,
    pub buildset: i64,
    pub change: i64,
}

const REASON: &str = "scheduler";
const SCHEDULER: &str = "filled";

/// The project whose history it is.
pub(super) struct History {
    /// Row, builder, next number.
    builders: Vec<(i64, Builder, i64)>,
    numbers: Numbers,
    /// Which builder is next to build the newest commit.
    turn: usize,
    commit: Commit,
    /// When the next commit comes, within the part of the time that is its own.
    next: Time,
    /// Where that part begins, and how long it is.
    begin: Time,
    gap: Duration,
    texts: Vec<Vec<Text>>,
    random: SmallRng,
}

/// What the builders build at the moment.
struct Commit {
    stamp: SourceStamp,
    stamps: SharedText,
    buildset: i64,
    when: Time,
}

/// The text of a log, ready to be stored.
struct Text {
    lines: i64,
    bytes: i64,
    data: Vec<u8>,
}

impl History {
    /// `builds` are spread over the time from `newest`, or from far enough back, to `now`.
    pub fn new(
        builders: Vec<(i64, Builder, i64)>,
        numbers: Numbers,
        builds: u64,
        newest: Option<Time>,
        now: Time,
    ) -> History {
        let commits = builds.div_ceil(builders.len().max(1) as u64);
        let commits = u32::try_from(commits).unwrap_or(u32::MAX).max(1);
        // The last commit leaves its builds the time to end before now.
        let end = now - Duration::from_secs(15 * 60);
        let begin = (end - GAP.saturating_mul(commits)).max(newest.unwrap_or(Time(0))).min(end);
        let mut random = SmallRng::seed_from_u64(numbers.build.unsigned_abs());
        let texts = STEPS.iter().map(|(step, _, lines)| texts(step, *lines, &mut random)).collect();
        let commit = Commit { stamp: SourceStamp::default(), stamps: SharedText::default(), buildset: 0, when: begin };
        History {
            turn: builders.len(),
            builders,
            numbers,
            commit,
            begin,
            next: begin,
            gap: end.since(begin) / commits,
            texts,
            random,
        }
    }

    /// There is somebody to build.
    pub fn is_possible(&self) -> bool {
        !self.builders.is_empty()
    }

    /// The next so many builds.
    pub fn batch(&mut self, builds: u64) -> Result<Batch, DbError> {
        let mut batch = Batch::default();
        for _ in 0..builds {
            if self.turn == self.builders.len() {
                self.turn = 0;
                self.commit(&mut batch)?;
            }
            self.build(&mut batch)?;
            self.turn += 1;
        }
        Ok(batch)
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), DbError> {
        let number = take(&mut self.numbers.change);
        let author =
            ["Ada Byron <ada@example.org>", "Grace Hopper <grace@example.org>", "Alan Turing <alan@example.org>"]
                .choose(&mut self.random)
                .copied()
                .unwrap_or_default();
        let branch = if self.random.random_ratio(1, 6) { "stable" } else { "main" };
        let file = self.random.random_range(0..400);
        let revision = format!("{:016x}{:016x}{number:08x}", self.random.random::<u64>(), self.random.random::<u64>());
        let change = Change {
            number,
            who: author.to_owned(),
            files: vec![format!("src/part_{file}.rs"), "tests/all.rs".to_owned()],
            comments: format!("Part {file} handles empty input"),
            revision: Some(revision.clone()),
            branch: Some(branch.to_owned()),
            when: self.next,
            repository: "https://example.org/project.git".to_owned(),
            project: "project".to_owned(),
            ..Change::default()
        };
        batch.changes.push(WrittenChange::of(&change)?.into_owned());
        let stamp = SourceStamp {
            repository: change.repository.clone(),
            project: change.project.clone(),
            branch: change.branch.clone(),
            revision: Some(revision),
            changes: vec![change],
            ..SourceStamp::default()
        };
        let stamps = SharedText::from(json(std::slice::from_ref(&stamp))?);
        let buildset = take(&mut self.numbers.buildset);
        let names: Vec<&str> = self.builders.iter().map(|(_, builder, _)| builder.name.as_str()).collect();
        batch.buildsets.push(WrittenBuildset {
            id: buildset,
            external_idstring: None,
            reason: REASON.to_owned(),
            scheduler: SCHEDULER.to_owned(),
            source_stamps: stamps.clone(),
            properties: "[]".to_owned().into(),
            builders: json(&names)?,
            submitted_at: self.next.0,
            complete_at: Some((self.next + Duration::from_secs(600)).0),
            results: Some(Results::Success.code()),
        });
        self.commit = Commit { stamp, stamps, buildset, when: self.next };
        // Sooner or later within its part of the time, so that the last of very many is not too early or too late.
        self.begin = self.begin + self.gap;
        self.next = self.begin + self.gap.mul_f64(self.random.random_range(0.0..0.9));
        Ok(())
    }

    fn build(&mut self, batch: &mut Batch) -> Result<(), DbError> {
        let id = take(&mut self.numbers.build);
        let request = take(&mut self.numbers.request);
        let (results, failing) = self.fate();
        let started = self.commit.when + Duration::from_millis(self.random.random_range(1_000..60_000));
        let (builder, name, worker, number) = {
            let (row, builder, next) = &mut self.builders[self.turn];
            let worker = builder.workers.choose(&mut self.random).cloned().unwrap_or_else(|| "local".to_owned());
            (*row, builder.name.clone(), worker, take(next))
        };
        let mut now = started;
        for (place, (step, seconds, _)) in STEPS.iter().enumerate() {
            let result = match failing {
                Some(failing) if failing < place => None,
                Some(failing) if failing == place => Some(results),
                _ => Some(Results::Success),
            };
            now = self.step(batch, (id, place, step), now, *seconds, result)?;
        }
        let mut properties = Properties::new();
        properties.set("branch", self.commit.stamp.branch.clone(), "Build");
        properties.set("buildername", name.clone(), "Builder");
        properties.set("buildnumber", number, "Build");
        properties.set("got_revision", self.commit.stamp.revision.clone(), "Git");
        properties.set("scheduler", SCHEDULER, "Scheduler");
        properties.set("slavename", worker.clone(), "BuildSlave");
        let build = Build {
            builder: name,
            number,
            reason: REASON.to_owned(),
            source_stamps: vec![self.commit.stamp.clone()],
            requests: vec![request],
            properties,
            worker,
            started,
            finished: Some(now),
            results: Some(results),
            text: results.build_text().iter().map(|word| (*word).to_owned()).collect(),
            eta: None,
            steps: Vec::new(),
        };
        batch.branches.extend(WrittenBranch::all_of(&build, id, builder));
        batch.build_changes.extend(WrittenBuildChange::all_of(&build, id));
        batch.builds.push(WrittenBuild::of(&build, &Texts::of_build(&build)?, id, builder, std::iter::empty())?);
        batch.requests.push(WrittenRequest {
            id: request,
            buildset_id: self.commit.buildset,
            builder_id: builder,
            source_stamps: self.commit.stamps.clone(),
            reason: REASON.to_owned(),
            properties: "[]".to_owned().into(),
            priority: 0,
            submitted_at: self.commit.when.0,
            complete_at: Some(now.0),
            results: Some(results.code()),
        });
        batch.links.push(WrittenLink { request_id: request, build_id: id, number });
        Ok(())
    }

    /// One step with its log; the moment it ended. Without a result it was never started.
    fn step(
        &mut self,
        batch: &mut Batch,
        (build, place, name): (i64, usize, &str),
        started: Time,
        seconds: i64,
        result: Option<Results>,
    ) -> Result<Time, DbError> {
        let number = i32::try_from(place).unwrap_or(i32::MAX);
        let mut step = Step::new(number, name);
        let Some(result) = result else {
            batch.steps.push(WrittenStep::of(&step, build)?);
            return Ok(started);
        };
        let took = Duration::from_secs_f64(seconds as f64 * self.random.random_range(0.7..1.4));
        let finished = started + took;
        step.started = Some(started);
        step.finished = Some(finished);
        step.results = Some(result);
        step.text = vec![name.to_owned()];
        step.expected_seconds = Some(seconds as f64);
        if result != Results::Success {
            step.text.push(result.word().to_owned());
            step.text2 = vec![name.to_owned()];
        }
        if name == "test" {
            let failed = if result == Results::Failure { 2 } else { 0 };
            step.statistics.insert("tests-total".to_owned(), 1_200.into());
            step.statistics.insert("tests-failed".to_owned(), failed.into());
        }
        batch.steps.push(WrittenStep::of(&step, build)?);
        let log = take(&mut self.numbers.log);
        if let Some(text) = self.texts[place].choose(&mut self.random) {
            let (lines, bytes) = (text.lines, text.bytes);
            batch.logs.push(WrittenLog {
                id: log,
                build_id: build,
                step: number,
                name: "stdio".to_owned(),
                kind: 0,
                finished: true,
                lines,
                bytes,
            });
            batch.pieces.push(PieceRow { log_id: log, first_byte: 0, first_line: 0, data: text.data.clone() });
        }
        Ok(finished)
    }

    /// How a build ends, and at which step if not well: most do well.
    fn fate(&mut self) -> (Results, Option<usize>) {
        match self.random.random_range(0..100) {
            0..84 => (Results::Success, None),
            84..90 => (Results::Failure, Some(2)),
            90..94 => (Results::Failure, Some(1)),
            94..98 => (Results::Warnings, Some(3)),
            _ => (Results::Exception, Some(0)),
        }
    }
}

fn take(next: &mut i64) -> i64 {
    *next += 1;
    *next - 1
}

/// Different outputs of one step.
fn texts(step: &str, lines: usize, random: &mut SmallRng) -> Vec<Text> {
    let mut text = || {
        let mut output = String::new();
        for _ in 0..random.random_range(lines / 2..=lines * 3 / 2) {
            let part = random.random_range(0..400);
            let line = match step {
                "git" => format!("remote: Counting objects: {part}, done.\n"),
                "compile" => format!("cc -O2 -Wall -c src/part_{part}.c -o build/part_{part}.o\n"),
                "test" => format!("test part_{part}::handles_empty_input ... ok\n"),
                _ => format!("adding build/part_{part}.o\n"),
            };
            output.push_str(&line);
        }
        let segments = [
            Segment {
                channel: Channel::Header,
                bytes: format!("make {step}\n in dir /build (timeout 1200 secs)\n").into(),
            },
            Segment { channel: Channel::Stdout, bytes: output.into() },
            Segment { channel: Channel::Header, bytes: b"program finished with exit code 0\n".to_vec() },
        ];
        let (lines, bytes, data) = prepare(&segments).into_one_piece();
        Text { lines, bytes, data }
    };
    (0..TEXTS).map(|_| text()).collect()
}
