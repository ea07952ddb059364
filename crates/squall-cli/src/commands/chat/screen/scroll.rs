//! Where in a list of entries, each of some rows, the window is.

/// The window's place: at the bottom, where what comes is seen, or held at what is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scroll {
    #[default]
    Bottom,
    /// The last row of the window is row `row` of the entry `id`, whatever else comes or goes.
    Held { id: u64, row: usize },
}

/// A row: of the entry at `index` the row `row`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) index: usize,
    pub(crate) row: usize,
}

/// A list, as scrolling sees it.
pub(crate) trait Rows {
    /// The number of entries.
    fn len(&self) -> usize;
    /// An entry's own number, which it keeps.
    fn id(&self, index: usize) -> u64;
    /// Rows of an entry, at least one.
    fn rows(&self, index: usize) -> usize;
}

impl Scroll {
    /// The last row of a window of `height` rows; `None` of an empty list. The window is full where the list allows.
    pub(crate) fn last_row(&self, list: &impl Rows, height: usize) -> Option<Place> {
        let bottom = bottom(list)?;
        let Scroll::Held { id, row } = *self else { return Some(bottom) };
        // From the end: what is read is rarely far from it.
        let found = (0..list.len()).rev().find(|index| list.id(*index) == id);
        // What has fallen out of the list was its beginning.
        let place = found
            .map_or(Place { index: 0, row: 0 }, |index| Place { index, row: row.min(list.rows(index) - 1) });
        let (_, above) = up(list, place, height.saturating_sub(1));
        Some(down(list, place, height.saturating_sub(1) - above).0)
    }

    /// Moves by `count` rows to what came before.
    pub(crate) fn up(&mut self, list: &impl Rows, height: usize, count: usize) {
        let Some(place) = self.last_row(list, height) else { return };
        let (place, _) = up(list, place, count);
        *self = Scroll::Held { id: list.id(place.index), row: place.row };
        // Not beyond the first row at the top.
        if let Some(place) = self.last_row(list, height) {
            self.hold(list, place);
        }
    }

    /// Moves by `count` rows to what came later.
    pub(crate) fn down(&mut self, list: &impl Rows, height: usize, count: usize) {
        let Some(place) = self.last_row(list, height) else { return };
        self.hold(list, down(list, place, count).0);
    }

    fn hold(&mut self, list: &impl Rows, place: Place) {
        *self = match bottom(list) {
            Some(bottom) if place < bottom => Scroll::Held { id: list.id(place.index), row: place.row },
            _ => Scroll::Bottom,
        };
    }
}

/// The place `count` rows above, and how many there were.
pub(crate) fn up(list: &impl Rows, from: Place, count: usize) -> (Place, usize) {
    let (mut place, mut left) = (from, count);
    while left > place.row {
        let Some(index) = place.index.checked_sub(1) else {
            return (Place { index: 0, row: 0 }, count - left + place.row);
        };
        left -= place.row + 1;
        place = Place { index, row: list.rows(index) - 1 };
    }
    place.row -= left;
    (place, count)
}

/// The place `count` rows below, and how many there were.
fn down(list: &impl Rows, from: Place, count: usize) -> (Place, usize) {
    let (mut place, mut left) = (from, count);
    loop {
        let below = list.rows(place.index) - 1 - place.row;
        if left <= below {
            place.row += left;
            return (place, count);
        }
        if place.index + 1 == list.len() {
            place.row += below;
            return (place, count - left + below);
        }
        left -= below + 1;
        place = Place { index: place.index + 1, row: 0 };
    }
}

fn bottom(list: &impl Rows) -> Option<Place> {
    let index = list.len().checked_sub(1)?;
    Some(Place { index, row: list.rows(index) - 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Rows for Vec<(u64, usize)> {
        fn len(&self) -> usize {
            self.len()
        }

        fn id(&self, index: usize) -> u64 {
            self[index].0
        }

        fn rows(&self, index: usize) -> usize {
            self[index].1
        }
    }

    fn list(rows: &[usize]) -> Vec<(u64, usize)> {
        rows.iter().enumerate().map(|(index, rows)| (index as u64, *rows)).collect()
    }

    #[test]
    fn what_is_read_stays_where_it_is_while_more_comes() {
        let mut list = list(&[1, 2, 3, 1, 1]);
        let mut scroll = Scroll::Bottom;
        scroll.up(&list, 3, 2);
        assert_eq!(scroll, Scroll::Held { id: 2, row: 2 });
        list.push((9, 4));
        list.insert(0, (8, 1));
        assert_eq!(scroll.last_row(&list, 3), Some(Place { index: 3, row: 2 }));
    }

    #[test]
    fn the_window_goes_no_further_than_the_first_row_and_back_to_the_bottom() {
        let list = list(&[1, 2, 3, 1, 1]);
        let mut scroll = Scroll::Bottom;
        scroll.up(&list, 3, 100);
        assert_eq!(scroll.last_row(&list, 3), Some(Place { index: 1, row: 1 }));
        scroll.down(&list, 3, 100);
        assert_eq!(scroll, Scroll::Bottom);
        // All of it fits.
        scroll.up(&list, 30, 5);
        assert_eq!(scroll, Scroll::Bottom);
    }

    #[test]
    fn a_place_that_has_fallen_out_of_the_list_was_its_beginning() {
        let scroll = Scroll::Held { id: 77, row: 1 };
        assert_eq!(scroll.last_row(&list(&[2, 2, 2]), 3), Some(Place { index: 1, row: 0 }));
        assert_eq!(scroll.last_row(&Vec::new(), 3), None);
    }

    proptest! {
        #[test]
        fn the_window_is_full_where_the_list_allows(
            rows in prop::collection::vec(1..5_usize, 1..20),
            steps in prop::collection::vec((any::<bool>(), 0..12_usize), 0..20),
            height in 1..12_usize,
        ) {
            let list = list(&rows);
            let total: usize = rows.iter().sum();
            let mut scroll = Scroll::Bottom;
            for (is_up, count) in steps {
                if is_up { scroll.up(&list, height, count) } else { scroll.down(&list, height, count) }
                let place = scroll.last_row(&list, height).unwrap();
                let above = rows[..place.index].iter().sum::<usize>() + place.row + 1;
                prop_assert!(above >= height.min(total));
                prop_assert!(place.row < rows[place.index]);
            }
        }
    }
}
