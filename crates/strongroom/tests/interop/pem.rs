//! The format `pem` beside OpenSSL, in the library that Python has.

use std::io::Write as _;
use std::process::{Command, Stdio};

use strongroom::VarFormat;

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % count
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A block, or two, with up to two changes that tools and people make, or that break it.
fn text(random: &mut Random) -> String {
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..=random.below(2) {
        let label = random.one(&["A", "OPENSSH PRIVATE KEY", "X  Y"]);
        lines.push(format!("-----BEGIN {label}-----"));
        let headers =
            random.one(&["", "", "", "K: v\n\n", "K: v\nL: w\n\n", "\n", "K: v\n", "text\n\n", "\n\n"]);
        lines.extend(headers.split_terminator('\n').map(str::to_owned));
        let digits: String =
            (0..4 * (1 + random.below(60))).map(|_| random.one(&["A", "z", "0", "+", "/"])).collect();
        let digits = format!("{}{}", &digits[..digits.len() - 2], random.one(&["AA", "A=", "=="]));
        let width = [64, 64, 70, 76, 48, 1_000, 10, 65][random.below(8)];
        lines.extend(digits.as_bytes().chunks(width).map(|line| String::from_utf8(line.to_vec()).unwrap()));
        lines.push(format!("-----END {label}-----"));
    }
    for _ in 0..random.below(3) {
        let at = random.below(lines.len());
        let line = lines[at].clone();
        match random.below(11) {
            0 => lines.insert(at, String::new()),
            1 => lines[at] = line + "  ",
            2 => lines[at] = line + "\r",
            3 => lines[at] = format!(" {line}"),
            4 => lines.insert(at, "text".to_owned()),
            5 => lines[at] = line.replacen('=', "", 1),
            6 => lines[at] = line + "=",
            7 => drop(lines.remove(at)),
            8 => lines[at] = line.replacen('A', "\t", 1),
            9 => lines.insert(0, "before: x".to_owned()),
            _ => lines.push("after".to_owned()),
        }
        if lines.is_empty() {
            lines.push("x".to_owned());
        }
    }
    lines.join("\n") + random.one(&["", "\n"])
}

/// Whether a change made a boundary a part of a block.
fn has_stray_dash(text: &str) -> bool {
    let is_boundary = |line: &str| line.starts_with("-----") && line.trim_end().ends_with("-----");
    text.lines().any(|line| line.contains('-') && !is_boundary(line))
        || text.matches("BEGIN").count() > text.matches("END").count()
}

fn openssl_reads(texts: &[String]) -> Vec<bool> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/pem.py");
    let mut python = Command::new("python3");
    python.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader = python.spawn().unwrap_or_else(|error| {
        panic!("this test runs tests/interop/pem.py, and python3 cannot be run: {error}")
    });
    let mut input = reader.stdin.take().unwrap();
    let lines: String = texts.iter().map(|text| serde_json::to_string(text).unwrap() + "\n").collect();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = reader.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "tests/interop/pem.py needs the library libcrypto of OpenSSL 3");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "true").collect()
}

#[test]
fn pem_is_what_openssl_reads() {
    let mut random = Random(7);
    let texts: Vec<String> = (0..4_000).map(|_| text(&mut random)).collect();
    let read = openssl_reads(&texts);
    assert_eq!(read.len(), texts.len());
    for (text, read) in texts.iter().zip(&read) {
        let is_valid = VarFormat::Pem.validate(text).is_ok();
        assert!(is_valid == *read || !is_valid && has_stray_dash(text), "{read} by OpenSSL: {text:?}");
    }
    let count = read.iter().filter(|read| **read).count();
    assert!((400..3_600).contains(&count), "{count} of them are read");
}
