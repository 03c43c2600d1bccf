//! From the text of a pattern to its syntax tree, with ASCII classes unless Unicode is asked for.

use regex_syntax::ast::{self, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::TranslatorBuilder;

use super::PatternError;
use super::budget::Budget;

/// Parses and simplifies `pattern`. Its own text is parsed alone, so that it cannot close a group it did not open.
pub(super) fn parse(pattern: &str, unicode: bool, budget: &mut Budget) -> Result<Hir, PatternError> {
    let mut text = Text { text: pattern.to_owned(), escaped: Vec::new() };
    let mut ast = text.parse()?;
    Classes { unicode, folds: false, budget }.visit(&mut ast)?;
    let hir = TranslatorBuilder::new().build().translate(&text.text, &ast);
    hir.map_err(|failed| text.error(failed.kind(), failed.span()))
}

/// The text of a pattern, and where a backslash was put into it.
struct Text {
    text: String,
    escaped: Vec<usize>,
}

impl Text {
    /// Reads a hyphen beside a class, as in `[\w-.]`, as itself, like the other dialects: the only repair there is.
    fn parse(&mut self) -> Result<Ast, PatternError> {
        loop {
            let failed = match parser().parse(&self.text) {
                Ok(ast) => return Ok(ast),
                Err(failed) => failed,
            };
            match self.hyphen(&failed) {
                Some(hyphen) if self.escaped.len() < HYPHENS_MAX => {
                    self.text.insert(hyphen, '\\');
                    self.escaped.push(hyphen);
                }
                _ => return Err(self.error(failed.kind(), failed.span())),
            }
        }
    }

    /// Where the hyphen stands that would make a range of a class, if that is what failed.
    fn hyphen(&self, failed: &ast::Error) -> Option<usize> {
        let (start, end) = (failed.span().start.offset, failed.span().end.offset);
        if !matches!(failed.kind(), ast::ErrorKind::ClassRangeLiteral) {
            return None;
        }
        if self.text.get(end..)?.starts_with('-') {
            return Some(end);
        }
        self.text.get(..start)?.strip_suffix('-').map(str::len)
    }

    /// The place is that in the text as it was given.
    fn error(&self, reason: &impl ToString, span: &ast::Span) -> PatternError {
        let at = span.start.offset;
        let added = self.escaped.iter().filter(|&&escaped| escaped < at).count();
        PatternError::syntax(reason.to_string(), at - added)
    }
}

fn parser() -> ast::parse::Parser {
    ast::parse::ParserBuilder::new().nest_limit(NEST_MAX).build()
}

/// Makes classes and case folding ASCII where Unicode was not asked for, and charges for what is dear to translate.
struct Classes<'b> {
    unicode: bool,
    /// Whether any part so far asks for case folding, which looks at every character of a wide class.
    folds: bool,
    budget: &'b mut Budget,
}

impl Classes<'_> {
    fn visit(&mut self, ast: &mut Ast) -> Result<(), PatternError> {
        let narrow = match ast {
            Ast::Repetition(repetition) => return self.visit(&mut repetition.ast),
            Ast::Concat(concat) => return concat.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Alternation(either) => return either.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Group(group) => {
                group.flags().map_or(Ok(()), |flags| self.visit_flags(flags))?;
                return self.visit(&mut group.ast);
            }
            Ast::Flags(set) => return self.visit_flags(&set.flags),
            Ast::Assertion(assertion) => return refuse_angle(assertion),
            Ast::Empty(_) | Ast::Dot(_) => false,
            Ast::Literal(literal) => literal.c.is_ascii(),
            Ast::ClassUnicode(_) => {
                self.charge(PROPERTY_STEPS)?;
                false
            }
            Ast::ClassPerl(_) if self.unicode => false,
            Ast::ClassPerl(class) => {
                let narrow = !class.negated;
                let kind = ClassSet::Item(ClassSetItem::Ascii(ascii(class, false)));
                *ast = Ast::class_bracketed(ast::ClassBracketed {
                    span: class.span,
                    negated: class.negated,
                    kind,
                });
                narrow
            }
            Ast::ClassBracketed(class) => self.visit_set(&mut class.kind)? && !class.negated,
        };
        if narrow && !self.unicode {
            without_unicode(ast);
        }
        Ok(())
    }

    /// Says whether the set holds nothing but ASCII characters.
    fn visit_set(&mut self, set: &mut ClassSet) -> Result<bool, PatternError> {
        match set {
            ClassSet::Item(item) => self.visit_item(item),
            ClassSet::BinaryOp(op) => Ok(self.visit_set(&mut op.lhs)? & self.visit_set(&mut op.rhs)?),
        }
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
            ClassSetItem::Unicode(_) => (false, PROPERTY_STEPS),
            ClassSetItem::Bracketed(class) => {
                (self.visit_set(&mut class.kind)? && !class.negated, COMPLEMENT_STEPS)
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
        if flags.flag_state(ast::Flag::Unicode).is_some() {
            let reason = "Unicode is asked for beside the pattern, not with a flag in it";
            return Err(PatternError::syntax(reason, flags.span.start.offset));
        }
        Ok(())
    }
}

/// Turns Unicode off for one class or character, so that `(?i)k` is not the Kelvin sign.
fn without_unicode(ast: &mut Ast) {
    let span = *ast.span();
    let items = [ast::FlagsItemKind::Negation, ast::FlagsItemKind::Flag(ast::Flag::Unicode)];
    let items = items.map(|kind| ast::FlagsItem { span, kind }).into();
    let kind = ast::GroupKind::NonCapturing(ast::Flags { span, items });
    let inner = Box::new(std::mem::replace(ast, Ast::empty(span)));
    *ast = Ast::group(ast::Group { span, kind, ast: inner });
}

fn ascii(class: &ast::ClassPerl, negated: bool) -> ast::ClassAscii {
    let kind = match class.kind {
        ClassPerlKind::Digit => ClassAsciiKind::Digit,
        ClassPerlKind::Space => ClassAsciiKind::Space,
        ClassPerlKind::Word => ClassAsciiKind::Word,
    };
    ast::ClassAscii { span: class.span, kind, negated }
}

/// Other dialects read `\<` as `<`, this one as the start of a word: neither is guessed.
fn refuse_angle(assertion: &ast::Assertion) -> Result<(), PatternError> {
    use ast::AssertionKind::{WordBoundaryEndAngle, WordBoundaryStartAngle};
    if matches!(assertion.kind, WordBoundaryStartAngle | WordBoundaryEndAngle) {
        return Err(PatternError::syntax("write < and > without a backslash", assertion.span.start.offset));
    }
    Ok(())
}

const NEST_MAX: u32 = 64;
const HYPHENS_MAX: usize = 32;

/// What it takes to fold a class of the Unicode tables, or one that holds almost every character: measured.
const PROPERTY_STEPS: usize = 500_000;
const COMPLEMENT_STEPS: usize = 700_000;
const WIDE_STEPS: usize = 500;
