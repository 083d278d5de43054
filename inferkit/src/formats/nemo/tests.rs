//! The reader against golden archives, hand-made ones, and hostile ones.

mod hostile;

use std::path::Path;
use std::path::PathBuf;

use tar::Builder;
use tar::EntryType;
use tar::Header;

use super::NemoArchive;
use super::gzip;
use crate::formats::torch;
use crate::job::Job;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/canary")
        .join(name)
}

/// A header of this kind for a member of this size.
fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// A tar of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = header(EntryType::Regular, content.len() as u64);
        // Written into the field itself, since the builder refuses or cleans what is tried here.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// `content` written to a file of a new folder, opened as an archive.
fn open(content: &[u8]) -> crate::Result<NemoArchive> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.nemo");
    std::fs::write(&path, content).unwrap();
    let opened = NemoArchive::open(&path, &Job::new());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "something was left beside the archive"
    );
    opened
}

#[test]
fn a_golden_archive_names_its_members_and_its_checkpoints_are_read_in_place() {
    let archive = NemoArchive::open(&golden("canary-1b-v2.nemo"), &Job::new()).unwrap();
    let names: Vec<_> = archive.names().collect();
    assert!(names.contains(&"model_config.yaml"), "{names:?}");
    for (member, expected) in [
        ("model_weights.ckpt", true),
        ("timestamps_asr_model_weights.ckpt", false),
    ] {
        let checkpoint = torch::Checkpoint::read(member, archive.member(member).unwrap()).unwrap();
        let name = "transf_decoder._embedding.token_embedding.weight";
        assert_eq!(checkpoint.contains(name), expected, "{member}");
        let view = checkpoint.tensor("encoder.pre_encode.out.weight").unwrap();
        assert!(
            matches!(view.bytes, std::borrow::Cow::Borrowed(_)),
            "{member} was copied"
        );
    }
    let config = archive.member("model_config.yaml").unwrap();
    let config: serde_json::Value = crate::formats::yaml::read("model_config.yaml", config.bytes()).unwrap();
    assert_eq!(config["prompt_format"], "canary2");
    assert_eq!(config["sample_rate"], 16000);
}

#[test]
fn the_head_of_a_golden_checkpoint_shares_its_numbers_with_the_embedding() {
    let archive = NemoArchive::open(&golden("canary-180m-flash.nemo"), &Job::new()).unwrap();
    let file = archive.member("model_weights.ckpt").unwrap();
    let checkpoint = torch::Checkpoint::read("model_weights.ckpt", file).unwrap();
    let embedding = checkpoint
        .tensor("transf_decoder._embedding.token_embedding.weight")
        .unwrap();
    let head = checkpoint.tensor("log_softmax.mlp.layer0.weight").unwrap();
    assert_eq!(embedding.bytes.as_ptr(), head.bytes.as_ptr());
    assert_eq!(embedding.shape, [1768, 48]);
    let counter = checkpoint
        .tensor("encoder.layers.0.conv.batch_norm.num_batches_tracked")
        .unwrap();
    assert_eq!(counter.shape, [0; 0]);
}

#[test]
fn names_lose_their_leading_dot_and_folders_are_passed_over() {
    let mut builder = Builder::new(Vec::new());
    let mut folder = header(EntryType::Directory, 0);
    for name in ["./", "./sub/"] {
        folder.as_old_mut().name.fill(0);
        folder.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        folder.set_cksum();
        builder.append(&folder, [].as_slice()).unwrap();
    }
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(archive(&[("./a", b"one"), ("b", b""), ("sub/c", b"three")]));
    let opened = open(&bytes).unwrap();
    assert_eq!(opened.names().collect::<Vec<_>>(), ["a", "b", "sub/c"]);
    assert_eq!(opened.member("a").unwrap().bytes(), b"one");
    assert!(opened.member("b").unwrap().bytes().is_empty());
    assert!(opened.find("./a").is_none());
    let error = opened.member("model_config.yaml").unwrap_err().to_string();
    assert!(
        error.starts_with("model.nemo: member \"model_config.yaml\" is missing; "),
        "{error}"
    );
}

#[test]
fn long_names_and_wide_sizes_are_read_in_both_spellings() {
    let long = format!("{}.model", "x".repeat(200));
    let mut builder = Builder::new(Vec::new());
    let mut gnu = Header::new_gnu();
    gnu.set_size(3);
    gnu.set_cksum();
    builder.append_data(&mut gnu, &long, b"gnu".as_slice()).unwrap();
    builder
        .append_pax_extensions([("path", b"./pax.model".as_slice()), ("size", b"5")])
        .unwrap();
    // The size in the header is that of another file: the record counts.
    let mut short = header(EntryType::Regular, 5);
    short.as_old_mut().name[..5].copy_from_slice(b"short");
    short.set_cksum();
    builder.append(&short, b"wide!".as_slice()).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    let at = bytes.windows(6).position(|window| window == b"short\0").unwrap();
    let mut changed = Header::from_byte_slice(&bytes[at..at + 512]).clone();
    changed.set_size(0);
    changed.set_cksum();
    bytes[at..at + 512].copy_from_slice(changed.as_bytes());
    let opened = open(&bytes).unwrap();
    assert_eq!(opened.names().collect::<Vec<_>>(), ["pax.model", long.as_str()]);
    assert_eq!(opened.member("pax.model").unwrap().bytes(), b"wide!");
    assert_eq!(opened.member(&long).unwrap().bytes(), b"gnu");
}

#[test]
fn a_gzipped_archive_is_unfolded_into_a_file_without_a_name() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &archive(&[("./a", b"one")])).unwrap();
    let opened = open(&encoder.finish().unwrap()).unwrap();
    assert_eq!(opened.member("a").unwrap().bytes(), b"one");
}

#[test]
fn unfolding_tells_how_far_it_is_and_stops_when_it_is_not_wanted_any_more() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &[7; 1000]).unwrap();
    let file = encoder.finish().unwrap();
    let (job, mut unfolded) = (Job::new(), Vec::new());
    gzip::unfold_into(&mut unfolded, "model.nemo", &file, &job).unwrap();
    let progress = job.progress().borrow().clone();
    assert_eq!(
        (progress.phase, progress.total_bytes),
        ("unfolding the archive", Some(file.len() as u64))
    );
    assert!(progress.done_bytes > 0);
    job.cancel();
    let mut nothing = Vec::new();
    let error = gzip::unfold_into(&mut nothing, "model.nemo", &file, &job).unwrap_err();
    assert!(error.is_cancelled() && nothing.is_empty(), "{error}");
}

#[test]
fn a_file_that_never_ends_is_stopped_long_before_the_disk_is_full() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &vec![0; 4 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let mut unfolded = Vec::new();
    let error = gzip::unfold_into(&mut unfolded, "model.nemo", &bomb, &Job::new()).unwrap_err();
    assert!(
        error.to_string().contains("unfolds to more than 1048576 bytes"),
        "{error}"
    );
    assert!(unfolded.len() <= 1 << 20);
}
