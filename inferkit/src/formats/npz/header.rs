//! The header of an array: a line of Python that says type, order and shape.
//!
//! Source: numpy's `numpy/lib/format.py`, "Format Version 1.0" to "3.0".

/// Most dimensions; numpy itself has 64, and no model has more than a few.
const MOST_DIMENSIONS: usize = 8;

/// Longest line; honest ones have a hundred and twenty bytes.
const LONGEST_LINE: usize = 1 << 14;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Type of the numbers as numpy spells it: `<f8`.
    pub(super) descr: String,
    /// Whether the first dimension is the one whose neighbours lie side by side.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Splits an array's file into its header and its numbers; `None` if the header is broken.
    pub(super) fn parse(file: &[u8]) -> Option<(Self, &[u8])> {
        let rest = file.strip_prefix(b"\x93NUMPY")?;
        let ([major, _minor], rest) = rest.split_first_chunk()?;
        let (length, rest) = match major {
            1 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            2 | 3 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
            }
            _ => return None,
        };
        if length > LONGEST_LINE {
            return None;
        }
        let (line, numbers) = rest.split_at_checked(length)?;
        let line = String::from_utf8(line.to_vec()).ok()?;
        Some((Self::from_line(&line)?, numbers))
    }

    /// `{'descr': '<f8', 'fortran_order': False, 'shape': (16, 16), }`, keys in any order.
    fn from_line(line: &str) -> Option<Self> {
        let mut rest = line.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key {
                "descr" => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text.to_owned());
                    after
                }
                "fortran_order" => {
                    let truth = value.strip_prefix("True").map(|after| (true, after));
                    let (truth, after) = truth.or_else(|| Some((false, value.strip_prefix("False")?)))?;
                    fortran_order = Some(truth);
                    after
                }
                "shape" => {
                    let (sizes, after) = tuple(value)?;
                    shape = Some(sizes);
                    after
                }
                _ => return None,
            };
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.is_empty() => after,
                None => return None,
            };
        }
        Some(Self {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        })
    }
}

/// A text in single quotes at the start of `line`, and what follows it.
fn quoted(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('\'')?.split_once('\'')
}

/// A tuple of sizes at the start of `line`, and what follows it.
fn tuple(line: &str) -> Option<(Vec<usize>, &str)> {
    let (inside, after) = line.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some((Vec::new(), after));
    }
    let sizes: Vec<usize> = inside
        .split(',')
        .take(MOST_DIMENSIONS.saturating_add(1))
        .map(|size| size.trim().parse())
        .collect::<Result<_, _>>()
        .ok()?;
    (sizes.len() <= MOST_DIMENSIONS).then_some((sizes, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(line: &str) -> Option<Vec<usize>> {
        Header::from_line(line).map(|header| header.shape)
    }

    #[test]
    fn a_line_of_numpy_is_read_whatever_the_order_of_its_keys() {
        let header = Header::from_line("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!((header.descr.as_str(), header.fortran_order), ("<f8", false));
        assert_eq!(header.shape, [3, 4]);
        assert_eq!(
            shape("{'shape': (5,), 'fortran_order': True, 'descr': '<f4'}"),
            Some(vec![5])
        );
        assert_eq!(
            shape("{'shape': (), 'fortran_order': True, 'descr': '<f4'}"),
            Some(vec![])
        );
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in [
            "",
            "{}",
            "{'descr': '<f8'}",
            "{'descr': '<f8', 'fortran_order': Maybe, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': True, 'shape': (-3,)}",
            "{'descr': '<f8', 'fortran_order': True, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': True, 'shape': (1,1,1,1,1,1,1,1,1)}",
            "{'descr': [('a', '<f8')], 'fortran_order': True, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': True, 'shape': (3,), 'x': 1}",
            "{'descr': '<f8' 'fortran_order': True, 'shape': (3,)}",
        ] {
            assert_eq!(Header::from_line(line), None, "{line}");
        }
    }
}
