//! Where every box of a waterfall goes. Pure: columns of items in, rows of cells out; what stands in a box is for others
//! to know.
//!
//! Time is cut into strips of at most ten seconds that begin where something began. A strip is as many rows high as
//! its fullest column; every column's boxes stand at its bottom, the newest on top. Then boxes grow upward over the
//! empty cells above them, so a long step reaches up to what came after it.

use crate::model::Time;
use std::time::Duration;

/// How much time one strip covers at most.
pub const STRIP: Duration = Duration::from_secs(10);

/// Items further apart than this have a gap between them.
const GAP: Duration = Duration::from_secs(2);

/// Something that happened, with what its box shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    pub start: Time,
    /// `None` while it goes on.
    pub finish: Option<Time>,
    pub shown: T,
}

/// One column, newest item first.
#[derive(Clone, Debug, PartialEq)]
pub struct Column<T> {
    pub items: Vec<Item<T>>,
    /// Gaps between its items show, and its boxes grow upward. Not so for changes.
    pub gaps: bool,
}

/// Which time is shown, and in how many strips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub from: Time,
    pub until: Time,
    pub now: Time,
    pub rows: usize,
}

/// A whole waterfall below its head.
#[derive(Debug, PartialEq)]
pub struct Laid<T> {
    pub rows: Vec<Row<T>>,
    /// When the lowest strip begins, if there is one.
    pub oldest: Option<Time>,
}

#[derive(Debug, PartialEq)]
pub struct Row<T> {
    /// The time column. `None` is covered by a cell above.
    pub time: Option<Cell<Option<Time>>>,
    /// With their columns, from left to right; those left out are covered by a cell above.
    pub cells: Vec<(usize, Cell<Content<T>>)>,
}

/// A cell that reaches over so many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<T> {
    pub height: usize,
    pub content: T,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<T> {
    Box(T),
    /// Nothing happened here.
    Blank,
    /// What came before is unknown or nothing.
    Unknown,
}

/// An item or the gap before it.
struct Placed<T> {
    start: Time,
    content: Content<T>,
}

/// One strip: its time, how many rows high it is, and what stands in it. Most of it is empty.
struct Strip<T> {
    time: Time,
    height: usize,
    contents: Vec<InStrip<T>>,
}

struct InStrip<T> {
    column: usize,
    /// From the bottom, counted from 0.
    row: usize,
    content: Content<T>,
}

pub fn lay_out<T: Copy>(columns: Vec<Column<T>>, window: &Window, merge: bool) -> Laid<T> {
    let grows: Vec<bool> = columns.iter().map(|column| column.gaps).collect();
    let mut columns: Vec<_> =
        columns.into_iter().map(|column| with_gaps(column, window).into_iter().peekable()).collect();

    let mut strips: Vec<Strip<T>> = Vec::new();
    loop {
        let newest = columns.iter_mut().filter_map(|column| Some(column.peek()?.start)).max();
        let Some(newest) = newest.filter(|&newest| newest >= window.from && strips.len() <= window.rows) else { break };
        let since = newest - STRIP;
        let mut strip = Strip { time: newest, height: 0, contents: Vec::new() };
        for (index, column) in columns.iter_mut().enumerate() {
            let first = strip.contents.len();
            while let Some(item) = column.next_if(|item| item.start > since) {
                strip.time = strip.time.min(item.start);
                strip.contents.push(InStrip { column: index, row: 0, content: item.content });
            }
            let taken = &mut strip.contents[first..];
            taken.iter_mut().rev().enumerate().for_each(|(row, content)| content.row = row);
            strip.height = strip.height.max(taken.len());
        }
        if strip.time <= window.until {
            strips.push(strip);
        }
    }

    let oldest = strips.last().map(|strip| strip.time);
    let mut grid = grid(strips);
    if let Some((_, last)) = grid.last_mut() {
        let mut filled = vec![false; columns.len()];
        last.iter().for_each(|(column, _)| filled[*column] = true);
        for (index, column) in columns.iter_mut().enumerate().filter(|(index, _)| !filled[*index]) {
            last.push((index, column.next().map_or(Content::Unknown, |item| item.content)));
        }
    }
    Laid { rows: merged(grid, &grows, merge), oldest }
}

/// How many strips things fill at least that begin at these moments.
pub fn strips(mut starts: Vec<Time>) -> usize {
    starts.sort_unstable_by(|a, b| b.cmp(a));
    let mut newest: Option<Time> = None;
    let begins = |start: &&Time| {
        let begins = newest.is_none_or(|newest| **start <= newest - STRIP);
        if begins {
            newest = Some(**start);
        }
        begins
    };
    starts.iter().filter(begins).count()
}

/// Puts a blank between items that have time between them, and before the newest if it has ended for a while.
fn with_gaps<T>(column: Column<T>, window: &Window) -> Vec<Placed<T>> {
    let mut placed = Vec::with_capacity(column.items.len());
    let mut newer = window.now.min(window.until);
    for item in column.items {
        if column.gaps
            && let Some(finish) = item.finish
            && finish + GAP < newer
        {
            placed.push(Placed { start: finish, content: Content::Blank });
        }
        newer = item.start;
        placed.push(Placed { start: item.start, content: Content::Box(item.shown) });
    }
    placed
}

/// Of each row its time and what stands in it, with its column.
type Grid<T> = Vec<(Option<Time>, Vec<(usize, Content<T>)>)>;

/// Rows of strips: boxes at the bottom of each, the time in its bottom row.
fn grid<T>(strips: Vec<Strip<T>>) -> Grid<T> {
    let mut grid = Grid::new();
    for strip in strips {
        let end = grid.len() + strip.height;
        grid.resize_with(end, || (None, Vec::new()));
        if let Some(bottom) = grid.last_mut() {
            bottom.0 = Some(strip.time);
        }
        for InStrip { column, row, content } in strip.contents {
            grid[end - 1 - row].1.push((column, content));
        }
    }
    grid
}

/// Makes cells of what stands in the grid; empty ones become part of what is below them.
fn merged<T>(grid: Grid<T>, grows: &[bool], merge: bool) -> Vec<Row<T>> {
    let mut rows: Vec<Row<T>> = grid.iter().map(|_| Row { time: None, cells: Vec::new() }).collect();
    // The row below the cell made last, per column and for the time column.
    let (mut tops, mut time_top) = (vec![0; grows.len()], 0);
    for (index, (time, contents)) in grid.into_iter().enumerate() {
        if time.is_some() || !merge {
            rows[time_top].time = Some(Cell { height: index - time_top + 1, content: time });
            time_top = index + 1;
        }
        for (column, content) in contents {
            let start = std::mem::replace(&mut tops[column], index + 1);
            let stretches = grows[column] || !matches!(content, Content::Box(_));
            if stretches || start == index {
                rows[start].cells.push((column, Cell { height: index - start + 1, content }));
            } else {
                rows[start].cells.push((column, Cell { height: index - start, content: Content::Blank }));
                rows[index].cells.push((column, Cell { height: 1, content }));
            }
        }
        if !merge {
            for (column, top) in tops.iter_mut().enumerate().filter(|(_, top)| **top <= index) {
                *top = index + 1;
                rows[index].cells.push((column, Cell { height: 1, content: Content::Blank }));
            }
        }
    }
    rows.iter_mut().for_each(|row| row.cells.sort_unstable_by_key(|(column, _)| *column));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_within_ten_seconds_is_one_strip() {
        let strips = |starts: &[i64]| strips(starts.iter().copied().map(Time::from_seconds).collect());
        assert_eq!((strips(&[]), strips(&[5]), strips(&[5, 14, 5])), (0, 1, 1));
        assert_eq!((strips(&[5, 15]), strips(&[30, 11, 21, 1])), (2, 3));
    }

    fn item(name: &'static str, start: i64, finish: Option<i64>) -> Item<&'static str> {
        Item { start: Time::from_seconds(start), finish: finish.map(Time::from_seconds), shown: name }
    }

    fn builder(items: Vec<Item<&'static str>>) -> Column<&'static str> {
        Column { items, gaps: true }
    }

    fn changes(items: Vec<Item<&'static str>>) -> Column<&'static str> {
        Column { items, gaps: false }
    }

    fn window(now: i64) -> Window {
        Window { from: Time(0), until: Time::from_seconds(now), now: Time::from_seconds(now), rows: 200 }
    }

    /// Each row as text: the time, then the cells; `|` is covered from above, `.` blank, `?` unknown.
    fn drawn(laid: &Laid<&str>) -> Vec<String> {
        let with_height = |text: &str, height: usize| {
            if height == 1 { text.to_owned() } else { format!("{text}x{height}") }
        };
        let columns = laid.rows.iter().flat_map(|row| &row.cells).map(|(column, _)| column + 1);
        let width = columns.max().unwrap_or(0);
        laid.rows
            .iter()
            .map(|row| {
                let time = match &row.time {
                    None => "|".to_owned(),
                    Some(cell) => {
                        let time = cell.content.map_or(".".to_owned(), |time| time.whole_seconds().to_string());
                        with_height(&time, cell.height)
                    }
                };
                let mut cells = vec!["|".to_owned(); width];
                for (column, cell) in &row.cells {
                    cells[*column] = match &cell.content {
                        Content::Box(shown) => with_height(shown, cell.height),
                        Content::Blank => with_height(".", cell.height),
                        Content::Unknown => with_height("?", cell.height),
                    };
                }
                std::iter::once(time).chain(cells).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn boxes_stand_at_the_bottom_of_their_strip_and_grow_upward() {
        let columns = vec![
            changes(vec![item("c", 100, None)]),
            builder(vec![item("test", 108, None), item("compile", 105, Some(108)), item("build", 104, None)]),
            builder(vec![item("idle", 101, None)]),
        ];
        // Three rows; the change stays small, the lone box of the third column takes all of it.
        assert_eq!(
            drawn(&lay_out(columns, &window(109), true)),
            ["100x3 .x2 test idlex3", "| | compile |", "| c build |"]
        );
    }

    #[test]
    fn a_running_step_reaches_up_over_later_strips() {
        let columns = vec![
            builder(vec![item("long", 10, None), item("a", 9, None)]),
            builder(vec![item("late", 100, None), item("b", 8, Some(9))]),
        ];
        // The gap in the second column begins where `b` ended.
        assert_eq!(drawn(&lay_out(columns, &window(101), true)), ["100 longx2 late", "8x2 | .", "| a b"]);
    }

    #[test]
    fn what_ended_for_a_while_has_a_gap_above_it() {
        let columns = vec![builder(vec![item("new", 50, None), item("old", 10, Some(20))])];
        assert_eq!(drawn(&lay_out(columns, &window(60), true)), ["50 new", "20 .", "10 old"]);
        let columns = vec![builder(vec![item("old", 10, Some(20))])];
        assert_eq!(drawn(&lay_out(columns, &window(22), true)), ["10 old"]);
    }

    #[test]
    fn a_strip_covers_less_than_ten_seconds() {
        let columns = vec![builder(vec![item("b", 20, None), item("a", 10, None)])];
        assert_eq!(drawn(&lay_out(columns, &window(21), true)), ["20 b", "10 a"]);
        let columns = vec![builder(vec![item("b", 20, None), item("a", 11, None)])];
        assert_eq!(drawn(&lay_out(columns, &window(21), true)), ["11x2 b", "| a"]);
    }

    #[test]
    fn the_last_row_is_filled_with_what_came_before() {
        let columns =
            vec![builder(vec![item("new", 1000, None)]), builder(vec![item("old", 5, None)]), builder(Vec::new())];
        let window = Window { from: Time::from_seconds(500), ..window(1001) };
        assert_eq!(drawn(&lay_out(columns, &window, true)), ["1000 new old ?"]);
    }

    #[test]
    fn the_window_and_the_number_of_rows_are_kept() {
        let items = (0..10).rev().map(|n| item("x", n * 100, None)).collect();
        let few = Window { rows: 3, ..window(1000) };
        let laid = lay_out(vec![builder(items)], &few, true);
        // One more than asked for, as in 0.8.
        assert_eq!((laid.rows.len(), laid.oldest), (4, Some(Time::from_seconds(600))));

        let items = (0..10).rev().map(|n| item("x", n * 100, None)).collect();
        let earlier = Window { until: Time::from_seconds(350), from: Time::from_seconds(150), ..window(1000) };
        assert_eq!(drawn(&lay_out(vec![builder(items)], &earlier, true)), ["300 x", "200 x"]);
    }

    #[test]
    fn without_merging_every_cell_is_there() {
        let columns = vec![builder(vec![item("b", 5, None), item("a", 4, None)]), builder(vec![item("c", 5, None)])];
        assert_eq!(drawn(&lay_out(columns, &window(6), false)), [". b .", "4 a c"]);
    }

    #[test]
    fn nothing_makes_no_rows() {
        let laid = lay_out(vec![builder(Vec::new())], &window(1), true);
        assert_eq!(laid, Laid { rows: Vec::new(), oldest: None });
    }
}
