//! How `.env` files read: one table of texts and what they hold.

use strongroom_dotenv::{Entry, NoteKind, ParseErrorKind, parse};

#[track_caller]
fn check(cases: &[(&str, &[(&str, &str)])]) {
    for (text, expected) in cases {
        let read =
            parse(text).map(|file| file.entries.into_iter().map(Entry::into_parts).collect::<Vec<_>>());
        let expected = expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read, Ok(expected), "{text:?}");
    }
}

#[test]
fn statement_is_a_name_a_separator_and_a_value() {
    check(&[
        ("", &[]),
        ("\n \n\t\n", &[]),
        ("A=b", &[("A", "b")]),
        ("A=b\n", &[("A", "b")]),
        ("  A=b", &[("A", "b")]),
        ("A = b", &[("A", "b")]),
        ("A =b", &[("A", "b")]),
        ("A=\tb\t", &[("A", "b")]),
        ("A=", &[("A", "")]),
        ("A= \nB=c", &[("A", ""), ("B", "c")]),
        ("A=b=c", &[("A", "b=c")]),
        ("A==", &[("A", "=")]),
        ("export A=b", &[("A", "b")]),
        ("export\t A=b", &[("A", "b")]),
        ("export=b", &[("export", "b")]),
        ("export = b", &[("export", "b")]),
        ("exported=b", &[("exported", "b")]),
        ("A: b", &[("A", "b")]),
        ("A: 'b' # c", &[("A", "b")]),
        ("a.b-c_1=d", &[("a.b-c_1", "d")]),
        ("1A=b", &[("1A", "b")]),
    ]);
}

#[test]
fn file_of_any_editor_reads_the_same() {
    check(&[
        ("\u{feff}A=b", &[("A", "b")]),
        ("A=b\r\nB=c\r\n", &[("A", "b"), ("B", "c")]),
        ("A=b\rB=c", &[("A", "b"), ("B", "c")]),
        ("A=\"b\r\nc\"\r\nB=d\r\n", &[("A", "b\nc"), ("B", "d")]),
    ]);
}

#[test]
fn comment_starts_a_line_or_follows_white_space_or_a_closing_quote() {
    check(&[
        ("#A=b\n  # c", &[]),
        ("A=b #c", &[("A", "b")]),
        ("A=b\t# c # d", &[("A", "b")]),
        ("A=b#c", &[("A", "b#c")]),
        ("A=#c", &[("A", "#c")]),
        ("A= #c", &[("A", "")]),
        ("A='b' # it's", &[("A", "b")]),
        ("A='b'#c", &[("A", "b")]),
        ("A=\"b # c\"", &[("A", "b # c")]),
        ("A=`b # c` # d", &[("A", "b # c")]),
    ]);
}

#[test]
fn value_without_quotes_stands_for_itself() {
    check(&[
        ("A=b c  d ", &[("A", "b c  d")]),
        (r"A=C:\new\table", &[("A", r"C:\new\table")]),
        (r"A=b\", &[("A", r"b\")]),
        ("A=$B ${C} $(d)", &[("A", "$B ${C} $(d)")]),
        ("A=it's", &[("A", "it's")]),
        ("A=say \"b\"", &[("A", "say \"b\"")]),
        (r"A=\'b", &[("A", r"\'b")]),
        ("A=b; B=c", &[("A", "b; B=c")]),
        ("A=🔑é", &[("A", "🔑é")]),
    ]);
}

#[test]
fn value_in_single_quotes_or_backticks_stands_for_itself() {
    check(&[
        ("A=''", &[("A", "")]),
        ("A= ' b ' ", &[("A", " b ")]),
        (r"A='b\nc\\d'", &[("A", r"b\nc\\d")]),
        (r"A='b\\'", &[("A", r"b\\")]),
        (r"A='b\'c'", &[("A", "b'c")]),
        ("A='$B \"c\" `d`'", &[("A", "$B \"c\" `d`")]),
        ("A='b\nc'\nB=d", &[("A", "b\nc"), ("B", "d")]),
        ("A=`b'c\"d`", &[("A", "b'c\"d")]),
        (r"A=`b\`c\n`", &[("A", r"b`c\n")]),
        ("A=`b\n\nc`", &[("A", "b\n\nc")]),
    ]);
}

#[test]
fn value_in_double_quotes_has_escapes() {
    check(&[
        ("A=\"\"", &[("A", "")]),
        (r#"A="b\nc\rd\te""#, &[("A", "b\nc\rd\te")]),
        (r#"A="b\"c\\d\$e\`f""#, &[("A", r#"b"c\d$e`f"#)]),
        (r#"A="\\n\\""#, &[("A", r"\n\")]),
        (r#"A="\a\'\x41\ b""#, &[("A", r"\a\'\x41\ b")]),
        (r#"A="$B ${C}""#, &[("A", "$B ${C}")]),
        ("A=\"b\\\nc\"", &[("A", "b\\\nc")]),
        (
            "A=\"-----BEGIN-----\nMIIE==\n-----END-----\n\"",
            &[("A", "-----BEGIN-----\nMIIE==\n-----END-----\n")],
        ),
    ]);
}

#[test]
fn quotes_inside_the_outer_ones_belong_to_the_value() {
    check(&[
        ("A='it's'", &[("A", "it's")]),
        (r#"A="{"a": "b\n"}""#, &[("A", r#"{"a": "b\n"}"#)]),
        (r#"A="{"a": "b #c"}" # d"#, &[("A", r#"{"a": "b #c"}"#)]),
        (r##"A="{"#a": 1}""##, &[("A", r##"{"#a": 1}"##)]),
        (r#"A="b"c"#, &[("A", r#""b"c"#)]),
        (r#"A="b" c # d"#, &[("A", r#""b" c"#)]),
        ("A='b' 'c'", &[("A", "b' 'c")]),
        (r#"A="C:\new\""#, &[("A", r"C:\new\")]),
        ("A='C:\\d\\'\nB='c'", &[("A", "C:\\d\\"), ("B", "c")]),
    ]);
}

#[test]
fn later_assignment_wins_and_leaves_a_note() {
    let file = parse("A=1\nB='\n'\nA=2\nA=3").unwrap();
    let read: Vec<_> =
        file.entries.iter().map(|entry| (entry.line(), entry.name(), entry.expose())).collect();
    assert_eq!(read, [(2, "B", "\n"), (5, "A", "3")]);
    let notes: Vec<_> = file.notes.iter().map(|note| (note.line, note.kind)).collect();
    let overridden = NoteKind::Overridden { by_line: 5 };
    assert_eq!(notes, [(1, overridden), (4, overridden)]);
}

#[test]
fn lines_that_end_in_a_carriage_return_alone_are_counted() {
    let file = parse("A=1\rB='\r'\rA=2").unwrap();
    let read: Vec<_> =
        file.entries.iter().map(|entry| (entry.line(), entry.name(), entry.expose())).collect();
    assert_eq!(read, [(2, "B", "\n"), (4, "A", "2")]);
    let notes: Vec<_> = file.notes.iter().map(|note| (note.line, note.kind)).collect();
    assert_eq!(notes, [(1, NoteKind::Overridden { by_line: 4 })]);
    assert_eq!(parse("A=1\r\r=2").unwrap_err().line, 3);
}

#[test]
fn name_without_a_value_leaves_a_note() {
    let file = parse("A\nexport B # c\n\nC=d").unwrap();
    let notes: Vec<_> = file.notes.iter().map(|note| (note.line, note.kind)).collect();
    assert_eq!(notes, [(1, NoteKind::NoValue), (2, NoteKind::NoValue)]);
    assert_eq!(file.entries.len(), 1);
}

#[test]
fn a_comment_that_could_have_been_part_of_a_value_is_noted() {
    let file = parse("A=pass #1\nB='pass' # of B\n# C=1 # 2\nD=b#c\nE= # empty\n").unwrap();
    let notes: Vec<_> = file.notes.iter().map(|note| (note.line, note.kind)).collect();
    assert_eq!(notes, [(1, NoteKind::Comment), (5, NoteKind::Comment)]);
}

#[test]
fn what_a_shell_reads_otherwise_leaves_a_note() {
    let noted = |text: &str| parse(text).unwrap().notes.iter().map(|note| note.kind).collect::<Vec<_>>();
    for text in ["A=$B", "A=${B}/c", "A=$(b)", "A=b`c`", "A=\"$B\"", "A=\"`b`\"", r"A=\$B"] {
        assert!(noted(text).contains(&NoteKind::Reference), "{text}");
    }
    for text in ["A='p'q", r#"A="b"c"#, r"A=b\ c", "A=b; B=c", "A=b B=c", "A=b;", r#"A="{"a": 1}""#] {
        assert_eq!(noted(text), [NoteKind::ShellSyntax], "{text}");
    }
    for text in
        ["A='$B ${C}'", r#"A="\$B \`c\`""#, r"A=C:\new\table", "A=b c", "A=a$", "A=$1", "A=it's", "A=b;c"]
    {
        assert_eq!(noted(text), [], "{text}");
    }
}

#[test]
fn a_second_statement_behind_quotes_is_an_error() {
    for text in
        ["export A=\"b\"; export B=\"c\"", "A=\"b\" B=c", "A='b' export B='c'", "A='b' && B='c'", "A=\"b\";"]
    {
        assert_eq!(parse(text).unwrap_err().kind, ParseErrorKind::SecondStatement, "{text}");
    }
}

#[test]
fn line_that_assigns_to_no_name_is_an_error() {
    let texts = [
        "=b",
        "A B=c",
        "set A=b",
        "A:B=c",
        "é=b",
        "'A'=b",
        "A+=b",
        "A:",
        "A : b",
        "A:b",
        "it's",
        "{",
        "; c",
        "\u{feff}=",
    ];
    for text in texts {
        assert_eq!(parse(text).unwrap_err().kind, ParseErrorKind::NotAnAssignment, "{text:?}");
    }
}

#[test]
fn quotes_that_do_not_pair_are_an_error() {
    let texts = [
        "A=\"",
        "A='b\nB=c",
        "A=\"b\nB=\"c\"",
        "A='b\nB='c'",
        "A='b'#it's",
        r#"A="b \"c\" d"#,
        r#"A="{"a": 1}" # the "b""#,
        "A=\"b \\\"c\\\"\nd",
    ];
    for text in texts {
        assert_eq!(parse(text).unwrap_err().kind, ParseErrorKind::UnpairedQuote, "{text:?}");
    }
}

#[test]
fn error_tells_the_line_and_no_text() {
    let pem = parse("A='b\r\nc'\r\n\r\nKEY=-----BEGIN KEY-----\r\nMIIEsecret\r\n-----END KEY-----\r\n")
        .unwrap_err();
    assert_eq!(pem.line, 6);
    let quote = parse("A=b\nPASSWORD='hunter2\n").unwrap_err();
    assert_eq!(quote.to_string(), "line 2: the quotes of the value do not pair");
}
