//! From the text of a pattern to its syntax tree, with ASCII classes unless Unicode is asked for.

use regex_syntax::ast::{self, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::TranslatorBuilder;

use crate::budget::Budget;
use crate::dialect::Text;
use crate::error::PatternError;
use crate::look::{self, Looks};

/// A pattern in its syntax tree, in which some groups are look-arounds.
pub(crate) struct Parsed {
    pub(crate) hir: Hir,
    pub(crate) looks: Looks,
}

/// Parses and simplifies `pattern`.
pub(crate) fn parse(pattern: &str, unicode: bool, budget: &mut Budget) -> Result<Parsed, PatternError> {
    // Without anything around it, so that it cannot close a group that it did not open.
    let mut text = Text::of(pattern);
    let mut ast = text.parse()?;
    let (looks, folds, verbose) = (Looks::new(), text.folds, false);
    let mut classes = Classes { text: &text, looks, unicode, folds, verbose, budget };
    classes.visit(&mut ast)?;
    let mut looks = classes.looks;
    // CRLF mode, so that `.` takes no carriage return and a text with CRLF has lines.
    let mut translator = TranslatorBuilder::new().case_insensitive(text.folds).crlf(true).build();
    let hir = translator.translate(text.as_str(), &ast);
    let hir = hir.map_err(|failed| text.error(failed.kind().to_string(), failed.span()))?;
    // Only now, since the translator merges `(?=a|b)` into one class.
    look::measure(&hir, &mut looks);
    Ok(Parsed { hir, looks })
}

/// Makes classes and case folding ASCII where Unicode was not asked for, and charges for what is expensive to
/// translate.
struct Classes<'b> {
    text: &'b Text,
    looks: Looks,
    unicode: bool,
    /// Whether any part so far asks for case folding, which looks at every character of a wide class.
    ///
    /// Once set it stays set, also behind a `(?-i)`: that charges too much rather than too little.
    folds: bool,
    /// Whether any part so far asks for white space that means nothing. Once set it stays set.
    verbose: bool,
    budget: &'b mut Budget,
}

impl Classes<'_> {
    /// Visits a part of the tree and, inside of it, every part.
    fn visit(&mut self, ast: &mut Ast) -> Result<(), PatternError> {
        let (is_ascii, negated) = match ast {
            Ast::Repetition(repetition) => {
                self.refuse_possessive(repetition)?;
                self.refuse_spaced_count(&repetition.op)?;
                return self.visit(&mut repetition.ast);
            }
            Ast::Concat(concat) => return concat.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Alternation(either) => return either.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Group(group) => {
                group.flags().map_or(Ok(()), |flags| self.visit_flags(flags))?;
                let look = self.text.look(&group.span);
                self.looks.extend(group.capture_index().zip(look));
                return self.visit(&mut group.ast);
            }
            Ast::Flags(set) => return self.visit_flags(&set.flags),
            Ast::Assertion(assertion) => return self.refuse_angle(assertion),
            // Never ASCII alone: `.` is about all characters, with or without Unicode.
            Ast::Empty(_) | Ast::Dot(_) => (false, false),
            Ast::Literal(literal) => (literal.c.is_ascii(), false),
            Ast::ClassPerl(_) if self.unicode => (false, false),
            Ast::ClassPerl(class) => {
                let negated = class.negated;
                *ast = bracketed(ascii(class, false), negated);
                (true, negated)
            }
            Ast::ClassUnicode(class) => match self.posix(class)? {
                Some(kind) => {
                    let (span, negated) = (class.span, class.is_negated());
                    *ast = bracketed(ast::ClassAscii { span, kind, negated: false }, negated);
                    (true, negated)
                }
                None => {
                    self.charge(PROPERTY_STEPS)?;
                    (false, false)
                }
            },
            Ast::ClassBracketed(class) => {
                self.refuse_spaced_class(class)?;
                (self.visit_set(&mut class.kind)?, class.negated)
            }
        };
        match (is_ascii && !self.unicode, negated) {
            (true, false) => without(ast::Flag::Unicode, ast),
            (true, true) if self.folds => with_what_folds_to_ascii(ast),
            _ => {}
        }
        Ok(())
    }

    /// Whether the set contains only ASCII characters.
    fn visit_set(&mut self, set: &mut ClassSet) -> Result<bool, PatternError> {
        match set {
            ClassSet::Item(item) => self.visit_item(item),
            // In Java `[a&&b]` is empty, in ECMA-262 a class of three characters.
            ClassSet::BinaryOp(op) if !matches!(*op.rhs, ClassSet::Item(ClassSetItem::Bracketed(_))) => {
                let reason = "put what follows &&, -- or ~~ in brackets, or a backslash before each of them";
                Err(self.text.error(reason, &op.span))
            }
            ClassSet::BinaryOp(op) => Ok(self.visit_side(&mut op.lhs)? & self.visit_side(&mut op.rhs)?),
        }
    }

    /// One side of an operation on classes, the only place where classes nest.
    fn visit_side(&mut self, set: &mut ClassSet) -> Result<bool, PatternError> {
        let ClassSet::Item(ClassSetItem::Bracketed(class)) = set else {
            return self.visit_set(set);
        };
        let narrow = self.visit_set(&mut class.kind)? && !class.negated;
        if !narrow {
            self.charge(COMPLEMENT_STEPS)?;
        }
        Ok(narrow)
    }

    fn visit_item(&mut self, item: &mut ClassSetItem) -> Result<bool, PatternError> {
        let (narrow, steps_if_folded) = match item {
            ClassSetItem::Empty(_) => (true, 0),
            ClassSetItem::Literal(literal) => (literal.c.is_ascii(), 0),
            ClassSetItem::Range(range) => (range.end.c.is_ascii(), u32::from(range.end.c) as usize),
            ClassSetItem::Ascii(class) => (!class.negated, COMPLEMENT_STEPS),
            ClassSetItem::Perl(class) if !self.unicode => {
                let narrow = !class.negated;
                *item = ClassSetItem::Ascii(ascii(class, class.negated));
                (narrow, COMPLEMENT_STEPS)
            }
            ClassSetItem::Perl(class) => {
                (false, if class.negated { COMPLEMENT_STEPS } else { PROPERTY_STEPS })
            }
            ClassSetItem::Unicode(class) => match self.posix(class)? {
                Some(kind) => {
                    let (span, negated) = (class.span, class.is_negated());
                    *item = ClassSetItem::Ascii(ast::ClassAscii { span, kind, negated });
                    (!negated, COMPLEMENT_STEPS)
                }
                None => (false, PROPERTY_STEPS),
            },
            ClassSetItem::Bracketed(class) => {
                return Err(self.text.error(r"write \[ for the character; classes do not nest", &class.span));
            }
            ClassSetItem::Union(union) => {
                let items = union.items.iter_mut();
                return items
                    .map(|item| self.visit_item(item))
                    .try_fold(true, |all, narrow| Ok(all & narrow?));
            }
        };
        if !narrow {
            self.charge(steps_if_folded)?;
        }
        Ok(narrow)
    }

    fn charge(&mut self, steps_if_folded: usize) -> Result<(), PatternError> {
        self.budget.spend(if self.folds { steps_if_folded } else { WIDE_STEPS })
    }

    fn visit_flags(&mut self, flags: &ast::Flags) -> Result<(), PatternError> {
        self.folds |= flags.flag_state(ast::Flag::CaseInsensitive) == Some(true);
        self.verbose |= flags.flag_state(ast::Flag::IgnoreWhitespace) == Some(true);
        // In Java it asks for Unicode, in Go for the shortest match, which does not matter for whole values.
        if flags.flag_state(ast::Flag::SwapGreed).is_some() {
            return Err(self.text.error(
                "leave out the flag U, which means one thing in Java and another in Go",
                &flags.span,
            ));
        }
        if flags.flag_state(ast::Flag::Unicode).is_some() {
            let reason = "Unicode is asked for beside the pattern, not with a flag in it";
            return Err(self.text.error(reason, &flags.span));
        }
        Ok(())
    }

    /// The ASCII class that Java means by `\p{Alnum}` and the like, where Unicode was not asked for.
    ///
    /// The parser takes a name in any case, and `\p{Alpha}` is all of Unicode's letters in ECMA-262: neither is
    /// guessed.
    fn posix(&self, class: &ast::ClassUnicode) -> Result<Option<ClassAsciiKind>, PatternError> {
        let ast::ClassUnicodeKind::Named(name) = &class.kind else { return Ok(None) };
        if self.unicode || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Ok(None);
        }
        let lower = name.to_ascii_lowercase();
        match ClassAsciiKind::from_name(&lower) {
            Some(_) if !JAVA_NAMES.contains(&name.as_str()) => {
                let reason = format!("write [[:{lower}:]] for the characters of ASCII, or ask for Unicode");
                Err(self.text.error(reason, &class.span))
            }
            kind => Ok(kind),
        }
    }

    /// The parser reads `a{ 2}` as a count, ECMA-262, Go and Python as the characters.
    fn refuse_spaced_count(&self, op: &ast::RepetitionOp) -> Result<(), PatternError> {
        match self.text.written(&op.span).contains(char::is_whitespace) {
            true => Err(self.text.error(r"write a count without spaces, and \{ for the character", &op.span)),
            false => Ok(()),
        }
    }

    /// With `(?x)`, white space and `#` in a class are nothing to the parser and Java, and members of it in Python.
    fn refuse_spaced_class(&self, class: &ast::ClassBracketed) -> Result<(), PatternError> {
        let mut escaped = false;
        let is_bare = |c: char| {
            let bare = !escaped && (c.is_whitespace() || c == '#');
            escaped = c == '\\' && !escaped;
            bare
        };
        if self.verbose && self.text.written(&class.span).contains(is_bare) {
            let reason = "with (?x), put a backslash before white space and # in a class";
            return Err(self.text.error(reason, &class.span));
        }
        Ok(())
    }

    /// Other dialects read `\<` as `<`, the parser as the start of a word: neither is guessed.
    fn refuse_angle(&self, assertion: &ast::Assertion) -> Result<(), PatternError> {
        use ast::AssertionKind::{WordBoundaryEndAngle, WordBoundaryStartAngle};
        match assertion.kind {
            WordBoundaryStartAngle | WordBoundaryEndAngle => {
                Err(self.text.error("write < and > without a backslash", &assertion.span))
            }
            _ => Ok(()),
        }
    }

    /// Other dialects give nothing back after `a++`, where the parser reads a repetition of `a+`.
    fn refuse_possessive(&self, outer: &ast::Repetition) -> Result<(), PatternError> {
        match (&outer.op.kind, &*outer.ast) {
            (ast::RepetitionKind::OneOrMore, Ast::Repetition(_)) => {
                let reason = "possessive counts are not supported: leave out the second +";
                Err(self.text.error(reason, &outer.op.span))
            }
            _ => Ok(()),
        }
    }
}

/// Turns a flag off for one class or character: that for Unicode, so that `(?i)k` is not the Kelvin sign.
fn without(flag: ast::Flag, ast: &mut Ast) {
    let span = *ast.span();
    let items = [ast::FlagsItemKind::Negation, ast::FlagsItemKind::Flag(flag)];
    let items = items.map(|kind| ast::FlagsItem { span, kind }).into();
    let kind = ast::GroupKind::NonCapturing(ast::Flags { span, items });
    let inner = Box::new(std::mem::replace(ast, Ast::empty(span)));
    *ast = Ast::group(ast::Group { span, kind, ast: inner });
}

/// Adds the Kelvin sign and the long s to a class of all but some characters of ASCII, so that `(?i)[^k]` has the
/// former. Unicode folds them to k and s, and a negated class cannot do without Unicode.
fn with_what_folds_to_ascii(ast: &mut Ast) {
    let span = *ast.span();
    let literal = |c| ClassSetItem::Literal(ast::Literal { span, kind: ast::LiteralKind::Verbatim, c });
    let items = ['\u{212a}', '\u{17f}'].map(literal).into();
    let kind = ClassSet::Item(ClassSetItem::Union(ast::ClassSetUnion { span, items }));
    let mut folded = Ast::class_bracketed(ast::ClassBracketed { span, negated: false, kind });
    without(ast::Flag::CaseInsensitive, &mut folded);
    let asts = vec![std::mem::replace(ast, Ast::empty(span)), folded];
    *ast = Ast::alternation(ast::Alternation { span, asts });
}

fn bracketed(class: ast::ClassAscii, negated: bool) -> Ast {
    let (span, kind) = (class.span, ClassSet::Item(ClassSetItem::Ascii(class)));
    Ast::class_bracketed(ast::ClassBracketed { span, negated, kind })
}

fn ascii(class: &ast::ClassPerl, negated: bool) -> ast::ClassAscii {
    let kind = match class.kind {
        ClassPerlKind::Digit => ClassAsciiKind::Digit,
        ClassPerlKind::Space => ClassAsciiKind::Space,
        ClassPerlKind::Word => ClassAsciiKind::Word,
    };
    ast::ClassAscii { span: class.span, kind, negated }
}

/// The names of Java's ASCII classes that no other dialect reads as anything else.
const JAVA_NAMES: [&str; 10] =
    ["ASCII", "Alnum", "Blank", "Cntrl", "Digit", "Graph", "Print", "Punct", "Space", "XDigit"];
// What the parser takes to fold the case of a class of the Unicode tables, and of one that contains almost every
// character, beside the steps counted here; measured.
const PROPERTY_STEPS: usize = 500_000;
const COMPLEMENT_STEPS: usize = 700_000;
// Without folding such a class costs its number of ranges, which is of this order.
const WIDE_STEPS: usize = 500;
