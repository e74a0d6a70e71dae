//! The tree as lines: a node on one line if it has room there, else a line for each part of it.
//! Steps wait on a stack of their own, not on this thread's.

use super::tree::{is_forced, End, Item, Node, Tree};
use std::collections::HashMap;
use std::io::{Result, Write};

/// How long lines are meant to be.
const COLUMNS: usize = 90;
/// Lines are not indented more.
const MOST_INDENT: usize = 50;
/// Blocks of tag 0 with more fields than that are arrays rather than tuples.
const MOST_TUPLE: usize = 8;

/// Something still to be written.
enum Step<'t> {
    Item(&'t Item),
    /// A node; of a list, the part that begins with this cell.
    Cells(usize, usize),
    /// The name of what is shown elsewhere.
    Name(usize, usize),
    Text(&'static str),
    More(usize),
    /// Between two parts: a space, or a new line of this indent.
    Break(Option<usize>),
}

/// Writes what `tree` shows to `out`.
pub(super) fn write(tree: &Tree, out: &mut dyn Write) -> Result<()> {
    let mut writer = Writer {
        tree,
        widths: widths(tree),
        names: HashMap::new(),
        column: 0,
        steps: vec![Step::Item(&tree.root)],
        out,
    };
    while let Some(step) = writer.steps.pop() {
        writer.step(step)?;
    }
    writeln!(writer.out)
}

struct Writer<'t, 'o> {
    tree: &'t Tree,
    /// How wide each node is on one line, at least; a number above [`COLUMNS`] if it is wider.
    widths: Vec<usize>,
    /// The names given so far.
    names: HashMap<(usize, usize), usize>,
    column: usize,
    steps: Vec<Step<'t>>,
    out: &'o mut dyn Write,
}

impl<'t> Writer<'t, '_> {
    fn text(&mut self, text: &str) -> Result<()> {
        self.column += text.chars().count();
        self.out.write_all(text.as_bytes())
    }

    fn name(&mut self, of: (usize, usize)) -> String {
        let next = self.names.len() + 1;
        format!("x{}", self.names.entry(of).or_insert(next))
    }

    fn step(&mut self, step: Step<'t>) -> Result<()> {
        match step {
            Step::Text(text) => self.text(text),
            Step::More(more) => self.text(&format!("… {more} more")),
            Step::Break(None) => self.text(" "),
            Step::Break(Some(indent)) => {
                write!(self.out, "\n{:indent$}", "")?;
                self.column = indent;
                Ok(())
            }
            Step::Item(Item::Int(number)) => self.text(&number.to_string()),
            Step::Item(Item::Cut) => self.text("…"),
            Step::Item(Item::Bad(value)) => self.text(&format!("<no block at {value:#x}>")),
            Step::Item(Item::Named(node, cell)) => self.step(Step::Name(*node, *cell)),
            Step::Name(node, cell) => {
                let name = self.name((node, cell));
                self.text(&name)
            }
            Step::Item(Item::Node(node)) => self.cells(*node, 0),
            Step::Cells(node, cell) => self.cells(node, cell),
        }
    }

    /// A node; of a list, the part that begins with this cell.
    fn cells(&mut self, node: usize, cell: usize) -> Result<()> {
        let tree = self.tree;
        if tree.named.contains(&(node, cell)) {
            let name = self.name((node, cell));
            self.text(&format!("{name} = "))?;
        }
        let is_wide = self.column.saturating_add(self.widths[node]) > COLUMNS;
        match &tree.nodes[node] {
            Node::Text(text) => self.text(text),
            Node::Fields { tag, items, more } => {
                let is_array = *tag == 0 && items.len() + more > MOST_TUPLE;
                let (open, separator, close) = if is_array {
                    ("[|".into(), ";", "|]")
                } else if is_forced(*tag) {
                    ("lazy (".into(), ",", ")")
                } else if *tag == 0 {
                    ("(".into(), ",", ")")
                } else {
                    (format!("Tag{tag} ("), ",", ")")
                };
                self.text(&open)?;
                self.steps.push(Step::Text(close));
                self.parts(items, separator, *more, is_wide);
                Ok(())
            }
            Node::List { items, end } => self.list(node, cell, items, end, is_wide),
        }
    }

    /// A list from `cell` on: in brackets, unless a cell further on has a name.
    fn list(
        &mut self,
        node: usize,
        cell: usize,
        items: &'t [Item],
        end: &'t End,
        is_wide: bool,
    ) -> Result<()> {
        let mut later = self.tree.named.range((node, cell + 1)..(node + 1, 0));
        let next = later.next().map(|(_, cell)| *cell);
        let items = &items[cell..next.unwrap_or(items.len())];
        if next.is_none() && matches!(end, End::Nil | End::Cut) {
            self.text("[")?;
            self.steps.push(Step::Text("]"));
            if *end == End::Cut {
                self.steps.push(Step::Text("; …"));
            }
            self.parts(items, ";", 0, is_wide);
            return Ok(());
        }
        self.text("(")?;
        match (next, end) {
            (Some(next), _) => {
                self.steps.push(Step::Text("))"));
                self.steps.push(Step::Cells(node, next));
                self.steps.push(Step::Text(" :: ("));
            }
            (None, End::Named(node, cell)) => {
                self.steps.push(Step::Text(")"));
                self.steps.push(Step::Name(*node, *cell));
                self.steps.push(Step::Text(" :: "));
            }
            (None, End::Nil | End::Cut) => unreachable!("in brackets"),
        }
        self.parts(items, " ::", 0, is_wide);
        Ok(())
    }

    /// Items with `separator` between them, then how many more there are.
    fn parts(&mut self, items: &'t [Item], separator: &'static str, more: usize, is_wide: bool) {
        let line = is_wide.then_some(self.column.min(MOST_INDENT));
        if more > 0 {
            self.steps.push(Step::More(more));
            self.steps.push(Step::Break(line));
            self.steps.push(Step::Text(separator));
        }
        for (number, item) in items.iter().enumerate().rev() {
            self.steps.push(Step::Item(item));
            if number > 0 {
                self.steps.push(Step::Break(line));
                self.steps.push(Step::Text(separator));
            }
        }
    }
}

/// How wide each node of `tree` is on one line, from the last to the first: a node comes behind the
/// one that it is a part of.
fn widths(tree: &Tree) -> Vec<usize> {
    let mut widths = vec![0; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate().rev() {
        let (items, around) = match node {
            Node::Text(text) => (&[][..], text.chars().count()),
            Node::Fields { items, more, .. } => (&items[..], 8 + 10 * usize::from(*more > 0)),
            Node::List { items, end } => (&items[..], 2 + 8 * usize::from(*end != End::Nil)),
        };
        let of = |item: &Item| match item {
            Item::Int(number) => number.to_string().len(),
            Item::Node(node) => widths[*node],
            Item::Named(..) => 3,
            Item::Cut => 1,
            Item::Bad(_) => 30,
        };
        let inside = items.iter().map(|item| of(item) + 2);
        let sum = inside.fold(around, usize::saturating_add);
        widths[number] = sum.min(COLUMNS + 1);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shown(root: Item, nodes: Vec<Node>, named: &[(usize, usize)]) -> String {
        let named: BTreeSet<_> = named.iter().copied().collect();
        let tree = Tree { root, nodes, named };
        let mut out = Vec::new();
        write(&tree, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn fields(tag: u8, items: Vec<Item>) -> Node {
        let more = 0;
        Node::Fields { tag, items, more }
    }

    fn ints(numbers: std::ops::Range<i64>) -> Vec<Item> {
        numbers.map(Item::Int).collect()
    }

    #[test]
    fn what_is_met_twice_has_a_name() {
        let pair = vec![Item::Node(1), Item::Named(1, 0)];
        let text = || Node::Text("\"a\"".into());
        let shared = shown(Item::Node(0), vec![fields(0, pair), text()], &[(1, 0)]);
        assert_eq!(shared, "(x1 = \"a\", x1)\n");
        let cycle = vec![Item::Int(1), Item::Named(0, 0)];
        let cycle = shown(Item::Node(0), vec![fields(3, cycle)], &[(0, 0)]);
        assert_eq!(cycle, "x1 = Tag3 (1, x1)\n");
    }

    #[test]
    fn lists_are_in_brackets_unless_a_part_of_them_has_a_name() {
        let list = |end| Node::List {
            items: ints(1..4),
            end,
        };
        assert_eq!(
            shown(Item::Node(0), vec![list(End::Nil)], &[]),
            "[1; 2; 3]\n"
        );
        assert_eq!(
            shown(Item::Node(0), vec![list(End::Cut)], &[]),
            "[1; 2; 3; …]\n"
        );
        let part = shown(Item::Node(0), vec![list(End::Nil)], &[(0, 1)]);
        assert_eq!(part, "(1 :: (x1 = [2; 3]))\n");
        let cycle = shown(Item::Node(0), vec![list(End::Named(0, 1))], &[(0, 1)]);
        assert_eq!(cycle, "(1 :: (x1 = (2 :: 3 :: x1)))\n");
    }

    #[test]
    fn what_is_too_wide_has_a_line_for_each_part() {
        let wide = fields(0, ints(1_000_000_000..1_000_000_010));
        let text = shown(
            Item::Node(0),
            vec![fields(1, vec![Item::Node(1)]), wide],
            &[],
        );
        assert_eq!(text.lines().count(), 10);
        assert!(
            text.starts_with("Tag1 ([|1000000000;\n        1000000001;\n"),
            "{text}"
        );
    }

    /// One block in another, many times: neither this thread's stack nor the indent grow with it.
    #[test]
    fn depth_costs_no_stack() {
        let deep = (1..200_000).map(|next| fields(0, vec![Item::Int(7), Item::Node(next)]));
        let nodes = deep.chain([Node::Text("x".into())]).collect();
        let text = shown(Item::Node(0), nodes, &[]);
        assert!(text
            .lines()
            .all(|line| line.len() < COLUMNS + 10 || line.ends_with("))")));
        assert_eq!(text.matches("7,").count(), 199_999);
    }
}
