//! The key table: a B+ tree whose pages are never changed once they are published.
//!
//! A change writes new pages from the leaf up to a new root, and leaves the old ones to those who
//! read them: one key costs a few pages, however many there are. Each page's checksum stands in
//! its parent, the root's in the superblock.

use crate::bytes::PAGE_BYTES;
use crate::entry::{Entry, KeyBits};
use crate::error::{Error, Result};
use crate::node::{Child, Node, INNER_CHILDREN, LEAF_ENTRIES};
use crate::storage::Storage;
use crate::superblock::{Root, Superblock};

/// One state's key table, to read.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'a> {
    storage: &'a dyn Storage,
    root: Root,
    file_bytes: u64,
}

/// What a walk through a table meets.
pub(crate) enum Visit<'a> {
    /// A page of the table itself, at this offset.
    Page(u64),
    /// A key's entry.
    Entry(&'a Entry),
}

impl<'a> Tree<'a> {
    /// The key table of `state`.
    pub(crate) fn of(storage: &'a dyn Storage, state: &Superblock) -> Tree<'a> {
        Tree {
            storage,
            root: state.root,
            file_bytes: state.file_bytes,
        }
    }

    fn top(&self) -> Option<Child> {
        let Root {
            offset,
            checksum,
            height,
            entries,
        } = self.root;
        let first = KeyBits {
            kind: 0,
            high: 0,
            low: 0,
        };
        (height > 0).then_some(Child {
            first,
            offset,
            checksum,
            entries,
        })
    }

    fn load(&self, child: &Child, level: u64) -> Result<Node> {
        let mut page = [0; PAGE_BYTES as usize];
        self.storage.read_at(child.offset, &mut page)?;
        // The root's first key stands nowhere else, so it is taken from the page.
        let mut expected = *child;
        if level == self.root.height {
            expected.first = KeyBits::decode(&page[32..]);
        }
        Node::decode(&page, &expected, level, self.file_bytes).map_err(|reason| Error::Damaged {
            path: self.storage.path().into(),
            offset: child.offset,
            reason,
        })
    }

    /// The entry of `key`.
    pub(crate) fn get(&self, key: KeyBits) -> Result<Option<Entry>> {
        Ok(self.last_up_to(key)?.filter(|entry| entry.key == key))
    }

    /// The entry with the largest key that is at most `key`.
    pub(crate) fn last_up_to(&self, key: KeyBits) -> Result<Option<Entry>> {
        let Some(mut child) = self.top() else {
            return Ok(None);
        };
        for level in (1..=self.root.height).rev() {
            match self.load(&child, level)? {
                Node::Inner(children) => match children.iter().rfind(|child| child.first <= key) {
                    Some(found) => child = *found,
                    None => return Ok(None),
                },
                Node::Leaf(entries) => {
                    return Ok(entries.into_iter().rfind(|entry| entry.key <= key));
                }
            }
        }
        Ok(None)
    }

    /// Calls `visit` with every page and every entry; the entries come in the order of their keys.
    ///
    /// A table is at fault where they don't, also because a page is under several others: with
    /// each level there could be many times more ways through it than pages.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(Visit<'_>) -> Result<()>) -> Result<()> {
        match self.top() {
            Some(top) => self.walk_under(&top, self.root.height, &mut None, visit),
            None => Ok(()),
        }
    }

    fn walk_under(
        &self,
        child: &Child,
        level: u64,
        last: &mut Option<KeyBits>,
        visit: &mut dyn FnMut(Visit<'_>) -> Result<()>,
    ) -> Result<()> {
        visit(Visit::Page(child.offset))?;
        match self.load(child, level)? {
            Node::Leaf(entries) => entries.iter().try_for_each(|entry| {
                if last.is_some_and(|last| entry.key <= last) {
                    return Err(Error::Damaged {
                        path: self.storage.path().into(),
                        offset: child.offset,
                        reason: "keys out of order".into(),
                    });
                }
                *last = Some(entry.key);
                visit(Visit::Entry(entry))
            }),
            Node::Inner(children) => children
                .iter()
                .try_for_each(|child| self.walk_under(child, level - 1, last, visit)),
        }
    }
}

/// A change of a key table: where it takes new pages from, and what it no longer needs.
pub(crate) struct Change<'a, 'p> {
    tree: Tree<'a>,
    /// Gives the offset of a page that nobody uses.
    take_page: &'p mut dyn FnMut() -> Result<u64>,
    /// Pages of the old table that the new one does not name.
    pub(crate) left_pages: Vec<u64>,
}

impl<'a, 'p> Change<'a, 'p> {
    /// A change of `state`'s table.
    pub(crate) fn of(
        storage: &'a dyn Storage,
        state: &Superblock,
        take_page: &'p mut dyn FnMut() -> Result<u64>,
    ) -> Change<'a, 'p> {
        let tree = Tree::of(storage, state);
        Change {
            tree,
            take_page,
            left_pages: Vec::new(),
        }
    }

    /// Writes the table in which `key` has `entry`, or nothing if that is `None`; its root.
    pub(crate) fn set(&mut self, key: KeyBits, entry: Option<&Entry>) -> Result<Root> {
        let (mut children, mut height) = match self.tree.top() {
            Some(top) => (
                self.set_under(&top, self.tree.root.height, key, entry)?,
                self.tree.root.height,
            ),
            None => (
                self.write_leaves(entry.into_iter().copied().collect(), true)?,
                1,
            ),
        };
        while children.len() > 1 {
            height += 1;
            children = self.write_inner(children, height, true)?;
        }
        Ok(root_of(children.pop(), height))
    }

    fn set_under(
        &mut self,
        child: &Child,
        level: u64,
        key: KeyBits,
        entry: Option<&Entry>,
    ) -> Result<Vec<Child>> {
        let node = self.tree.load(child, level)?;
        self.left_pages.push(child.offset);
        match node {
            Node::Leaf(mut entries) => {
                let (Ok(at) | Err(at)) = entries.binary_search_by(|old| old.key.cmp(&key));
                if entries.get(at).is_some_and(|old| old.key == key) {
                    entries.remove(at);
                }
                let at_end = at == entries.len();
                entries.splice(at..at, entry.copied());
                self.write_leaves(entries, at_end)
            }
            Node::Inner(mut children) => {
                let at = children
                    .iter()
                    .rposition(|child| child.first <= key)
                    .unwrap_or(0);
                let (under, at_end) = (children[at], at + 1 == children.len());
                let new = self.set_under(&under, level - 1, key, entry)?;
                children.splice(at..=at, new);
                self.write_inner(children, level, at_end)
            }
        }
    }

    fn write_leaves(&mut self, entries: Vec<Entry>, at_end: bool) -> Result<Vec<Child>> {
        split(entries, LEAF_ENTRIES, at_end)
            .into_iter()
            .map(|part| self.write(Node::Leaf(part), 1))
            .collect()
    }

    fn write_inner(
        &mut self,
        children: Vec<Child>,
        level: u64,
        at_end: bool,
    ) -> Result<Vec<Child>> {
        split(children, INNER_CHILDREN, at_end)
            .into_iter()
            .map(|part| self.write(Node::Inner(part), level))
            .collect()
    }

    fn write(&mut self, node: Node, level: u64) -> Result<Child> {
        let offset = (self.take_page)()?;
        let (page, child) = node.encode(level, offset);
        self.tree.storage.write_at(offset, &page)?;
        Ok(child)
    }
}

/// The pages of `state`'s table.
pub(crate) fn pages(storage: &dyn Storage, state: &Superblock) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    Tree::of(storage, state).walk(&mut |visit| {
        if let Visit::Page(offset) = visit {
            all.push(offset);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Writes a table of `entries`, which are in the order of their keys, into new pages; its root.
pub(crate) fn build(
    storage: &dyn Storage,
    entries: &[Entry],
    take_page: &mut dyn FnMut() -> Result<u64>,
) -> Result<Root> {
    let mut write = |node: Node, level| {
        let offset = take_page()?;
        let (page, child) = node.encode(level, offset);
        storage.write_at(offset, &page)?;
        Ok(child)
    };
    let leaves = entries.chunks(LEAF_ENTRIES);
    let mut children: Vec<Child> = leaves
        .map(|part| write(Node::Leaf(part.into()), 1))
        .collect::<Result<_>>()?;
    let mut height = 1;
    while children.len() > 1 {
        height += 1;
        children = children
            .chunks(INNER_CHILDREN)
            .map(|part| write(Node::Inner(part.into()), height))
            .collect::<Result<_>>()?;
    }
    Ok(root_of(children.pop(), height))
}

fn root_of(top: Option<Child>, height: u64) -> Root {
    top.map_or(Root::default(), |top| Root {
        offset: top.offset,
        checksum: top.checksum,
        height,
        entries: top.entries,
    })
}

/// `all`, which has at most one record more than `most`, in pieces of at most `most`. Where the
/// new record is the last one, as when keys are added in their order, the full piece stays full.
fn split<T>(mut all: Vec<T>, most: usize, at_end: bool) -> Vec<Vec<T>> {
    if all.is_empty() {
        return Vec::new();
    }
    if all.len() <= most {
        return vec![all];
    }
    let rest = all.split_off(if at_end { all.len() - 1 } else { all.len() / 2 });
    vec![all, rest]
}
