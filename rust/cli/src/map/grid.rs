//! The file as a grid of cells, each of which belongs to whom most of it does.

use hh_image::inspect::Place;

/// Cells in a row at most.
const COLUMNS: usize = 128;
/// Rows at most.
const ROWS: u64 = 64;
/// The least that a cell stands for, in bytes: the unit in which space is given out.
const LEAST: u64 = 4096;

/// What a cell is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Free,
    /// Free, but a page of the state before, which stays as it is until the next change.
    Before,
    Header,
    Table,
    /// The value of the key of this number among those that have colours.
    Key(usize),
    /// That of another key.
    Other,
    /// A value that lost its key.
    Kept,
}

/// All cells of a file, from its start to its end.
#[derive(Debug)]
pub(super) struct Grid {
    /// How many bytes a cell stands for.
    pub(super) cell: u64,
    /// Their owners, the first row first.
    pub(super) owners: Vec<Owner>,
    /// Cells in a row: fewer in a small file, whose cells are drawn larger.
    pub(super) columns: usize,
}

impl Grid {
    /// The grid of a file of `length` bytes: all of it free.
    pub(super) fn new(length: u64) -> Grid {
        let exact = length.div_ceil(COLUMNS as u64 * ROWS);
        let cell = exact.max(1).next_multiple_of(LEAST);
        let cells = length.div_ceil(cell) as usize;
        let columns = [16, 32, 64]
            .into_iter()
            .find(|side| side * side / 2 >= cells);
        Grid {
            cell,
            owners: vec![Owner::Free; cells],
            columns: columns.unwrap_or(COLUMNS),
        }
    }

    /// Gives cells to the owners of `places`, which are in order and don't overlap.
    pub(super) fn fill(&mut self, places: impl Iterator<Item = (Place, Owner)>) {
        // Of each cell: the most bytes that one owner has, and what nobody has.
        let mut most = vec![0; self.owners.len()];
        let mut free = vec![self.cell; self.owners.len()];
        for (place, owner) in places {
            let end = place.offset.saturating_add(place.length);
            let mut at = place.offset;
            while at < end {
                let number = (at / self.cell) as usize;
                if number >= self.owners.len() {
                    break;
                }
                let next = (number as u64 + 1).saturating_mul(self.cell).min(end);
                let bytes = next - at;
                free[number] -= bytes.min(free[number]);
                if bytes > most[number] {
                    most[number] = bytes;
                    self.owners[number] = owner;
                }
                at = next;
            }
        }
        for (number, owner) in self.owners.iter_mut().enumerate() {
            if free[number] > most[number] {
                *owner = Owner::Free;
            }
        }
    }

    /// The same, of free cells only.
    pub(super) fn fill_free(&mut self, places: impl Iterator<Item = (Place, Owner)>) {
        let mut other = Grid {
            owners: vec![Owner::Free; self.owners.len()],
            ..*self
        };
        other.fill(places);
        for (owner, filled) in self.owners.iter_mut().zip(other.owners) {
            if *owner == Owner::Free {
                *owner = filled;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hh_image::inspect::Usage;

    fn place(offset: u64, length: u64, owner: Owner) -> (Place, Owner) {
        let usage = Usage::Table;
        let place = Place {
            offset,
            length,
            usage,
        };
        (place, owner)
    }

    #[test]
    fn a_cell_is_whose_most_of_it_is() {
        let mut grid = Grid::new(6 * 4096);
        assert_eq!((grid.cell, grid.owners.len()), (4096, 6));
        grid.cell = 8192;
        grid.owners.truncate(3);
        let places = [
            place(0, 3000, Owner::Header),
            place(3000, 5192, Owner::Table),
            place(8192, 3000, Owner::Table),
            place(16384, u64::MAX - 20000, Owner::Kept),
        ];
        grid.fill(places.into_iter());
        assert_eq!(grid.owners, [Owner::Table, Owner::Free, Owner::Kept]);
        grid.fill_free([place(0, 24576, Owner::Before)].into_iter());
        assert_eq!(grid.owners, [Owner::Table, Owner::Before, Owner::Kept]);
    }

    #[test]
    fn no_file_has_many_cells() {
        for length in [0, 1, 4096, 1 << 25, (1 << 25) + 1, 1 << 50] {
            let grid = Grid::new(length);
            let rows = grid.owners.len().div_ceil(grid.columns) as u64;
            assert!(grid.columns <= COLUMNS && rows <= ROWS);
            assert!(grid.owners.len() as u64 * grid.cell >= length);
        }
    }
}
