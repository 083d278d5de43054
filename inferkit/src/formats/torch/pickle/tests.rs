//! The machine on small programs: what they build, and what stops them.

use super::error::Fault;
use super::value::Pickle;

/// The fault at which reading `pickle` stops.
fn fault(pickle: &[u8]) -> Fault {
    Pickle::parse(pickle).unwrap_err().fault
}

#[test]
fn literals_of_all_widths_are_read() {
    let pickle = Pickle::parse(
        b"\x80\x04(NK\x07M\x01\x02J\xfe\xff\xff\xff\x8a\x02\x00\x80\x8a\x00\x88\x89G?\xe0\0\0\0\0\0\0X\x01\0\0\0a\x8c\x01bt.",
    )
    .unwrap();
    let items: Vec<_> = pickle.root().items().unwrap().collect();
    assert!(items[0].is_none());
    let numbers: Vec<_> = items.iter().filter_map(|item| item.as_int()).collect();
    assert_eq!(numbers, [7, 513, -2, -32768, 0]);
    assert_eq!((items[6].as_bool(), items[7].as_bool()), (Some(true), Some(false)));
    assert_eq!(items[8].as_float(), Some(0.5));
    assert_eq!((items[9].as_text(), items[10].as_text()), (Some("a"), Some("b")));
}

#[test]
fn the_memo_gives_the_same_object_again_also_after_it_was_filled() {
    // d = {}; memo 0 = d; d["a"] = d; the result is d["a"]["a"].
    let pickle = Pickle::parse(b"\x80\x02}q\0\x8c\x01ah\0s.").unwrap();
    let again = pickle.root().get("a").unwrap().get("a").unwrap();
    assert!(again.get("a").is_some());
    let memoized = Pickle::parse(b"\x80\x04]\x94K\x01ah\0a.").unwrap();
    assert_eq!(memoized.root().items().unwrap().count(), 2);
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    let pickle = Pickle::parse(b"\x80\x02}(\x8c\x01aK\x01\x8c\x01aK\x02u.").unwrap();
    assert_eq!(pickle.root().get("a").unwrap().as_int(), Some(2));
    assert!(pickle.root().get("b").is_none() && pickle.root().items().is_none());
}

#[test]
fn lists_that_hold_each_other_do_not_unfold() {
    // Each list holds the one before ten times: ten to the power of fifty items if anybody counted them.
    let mut bomb = b"\x80\x02]q\0".to_vec();
    for place in 1..50_u8 {
        bomb.extend_from_slice(b"](");
        for _ in 0..10 {
            bomb.extend_from_slice(&[b'h', place - 1]);
        }
        bomb.extend_from_slice(&[b'e', b'q', place]);
    }
    bomb.push(b'.');
    assert_eq!(Pickle::parse(&bomb).unwrap().root().items().unwrap().count(), 10);
}

#[test]
fn what_no_honest_pickle_has_stops_the_machine() {
    assert_eq!(
        fault(&[b'('; 2000]),
        Fault::TooMany {
            what: "marks",
            most: 1024
        }
    );
    let objects = vec![b'N'; 1 << 21];
    assert!(matches!(fault(&objects), Fault::TooMany { what: "objects", .. }));
    let references = [b"N".to_vec(), vec![b'2'; 1 << 22]].concat();
    assert!(matches!(fault(&references), Fault::TooMany { what: "references", .. }));
}

#[test]
fn deep_nesting_needs_no_stack_of_ours() {
    let deep = [b"]".to_vec(), b"\x85".repeat(500_000), b".".to_vec()].concat();
    assert_eq!(Pickle::parse(&deep).unwrap().root().items().unwrap().count(), 1);
}

#[test]
fn a_stack_that_does_not_hold_enough_is_an_error() {
    for pickle in [
        b".".as_slice(),
        b"N(.",
        b"Ns.",
        b"t.",
        b"N\x86.",
        b"0",
        b"1",
        b"a",
        b"u",
        b"R",
        b"NR",
        b"b",
        b"Q",
        b"2",
    ] {
        assert_eq!(fault(pickle), Fault::EmptyStack, "{pickle:?}");
    }
    assert_eq!(fault(b"}(Nu."), Fault::OddPairs);
    assert_eq!(fault(b"h\x05"), Fault::EmptyMemo { place: 5 });
}

#[test]
fn opcodes_and_versions_that_are_not_read_are_named() {
    assert_eq!(fault(b"I42\n."), Fault::Opcode { code: b'I' });
    assert_eq!(fault(b"\x80\x06"), Fault::Protocol { version: 6 });
    assert_eq!(fault(b"(i__main__\nx\n"), Fault::Opcode { code: b'i' });
    let error = Pickle::parse(b"NNI1\n").unwrap_err().to_string();
    assert_eq!(error, "byte 2 of data.pkl: opcode 0x49 is not read");
}

#[test]
fn texts_and_names_that_are_none_are_errors() {
    assert_eq!(fault(b"\x8c\x01\xff."), Fault::NotUtf8);
    assert_eq!(fault(b"X\xff\xff\xff\x7fa"), Fault::CutShort);
    assert_eq!(fault(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa"), Fault::CutShort);
    assert_eq!(fault(b"cos"), Fault::CutShort);
    assert_eq!(fault(&[b"c".to_vec(), vec![b'x'; 5000]].concat()), Fault::LongName);
    assert_eq!(fault(b"K\x01K\x02\x93."), Fault::Malformed { what: "a name" });
    assert_eq!(fault(b"NQ."), Fault::Malformed { what: "a storage" });
}
