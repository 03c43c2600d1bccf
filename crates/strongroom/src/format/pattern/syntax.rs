//! From the text of a pattern to its syntax tree, with ASCII classes unless Unicode is asked for.

use regex_syntax::ast::{self, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem, Span};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::TranslatorBuilder;

use super::PatternError;

/// Parses and simplifies `pattern`. Its own text is parsed alone, so that it cannot close a group it did not open.
pub(super) fn parse(pattern: &str, unicode: bool) -> Result<Hir, PatternError> {
    let (text, mut ast, hyphens) = parse_lenient(pattern)?;
    let mut classes = Classes { unicode, wide: 0 };
    classes.visit(&mut ast)?;
    TranslatorBuilder::new().build().translate(&text, &ast).map_err(|e| {
        let at = e.span().start.offset;
        let before = hyphens.iter().filter(|&&hyphen| hyphen < at).count();
        PatternError::syntax(e.kind().to_string(), at - before)
    })
}

/// Reads a hyphen beside a class, as in `[\w-.]`, as itself, like the other dialects do: the only repair there is.
fn parse_lenient(pattern: &str) -> Result<(String, Ast, Vec<usize>), PatternError> {
    let (mut text, mut hyphens) = (pattern.to_owned(), Vec::new());
    loop {
        let failed = match parser().parse(&text) {
            Ok(ast) => return Ok((text, ast, hyphens)),
            Err(failed) => failed,
        };
        let (start, end) = (failed.span().start.offset, failed.span().end.offset);
        let hyphen = match failed.kind() {
            _ if hyphens.len() == HYPHENS_MAX => None,
            ast::ErrorKind::ClassRangeLiteral if text.get(end..).is_some_and(|t| t.starts_with('-')) => {
                Some(end)
            }
            ast::ErrorKind::ClassRangeLiteral if text.get(..start).is_some_and(|t| t.ends_with('-')) => {
                start.checked_sub(1)
            }
            _ => None,
        };
        let Some(hyphen) = hyphen else {
            return Err(PatternError::syntax(failed.kind().to_string(), start - hyphens.len()));
        };
        text.insert(hyphen, '\\');
        hyphens.push(hyphen);
    }
}

fn parser() -> ast::parse::Parser {
    ast::parse::ParserBuilder::new().nest_limit(NEST_MAX).build()
}

/// Makes classes and case folding ASCII where Unicode was not asked for, and counts what is dear to translate.
struct Classes {
    unicode: bool,
    wide: usize,
}

impl Classes {
    fn visit(&mut self, ast: &mut Ast) -> Result<(), PatternError> {
        let narrow = match ast {
            Ast::Repetition(repetition) => return self.visit(&mut repetition.ast),
            Ast::Concat(concat) => return concat.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Alternation(either) => return either.asts.iter_mut().try_for_each(|ast| self.visit(ast)),
            Ast::Group(group) => {
                group.flags().map_or(Ok(()), refuse_unicode_flag)?;
                return self.visit(&mut group.ast);
            }
            Ast::Flags(set) => return refuse_unicode_flag(&set.flags),
            Ast::Assertion(assertion) => return refuse_angle(assertion),
            Ast::Empty(_) | Ast::Dot(_) => false,
            Ast::Literal(literal) => literal.c.is_ascii(),
            Ast::ClassUnicode(class) => {
                self.count_wide(&class.span)?;
                false
            }
            Ast::ClassPerl(class) if self.unicode => return self.count_wide(&class.span),
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
        let narrow = match item {
            ClassSetItem::Empty(_) => true,
            ClassSetItem::Literal(literal) => literal.c.is_ascii(),
            ClassSetItem::Range(range) => range.end.c.is_ascii(),
            ClassSetItem::Ascii(class) => return Ok(!class.negated),
            ClassSetItem::Perl(class) if !self.unicode => {
                let narrow = !class.negated;
                *item = ClassSetItem::Ascii(ascii(class, class.negated));
                return Ok(narrow);
            }
            ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) => false,
            ClassSetItem::Bracketed(class) => return Ok(self.visit_set(&mut class.kind)? && !class.negated),
            ClassSetItem::Union(union) => {
                let items = union.items.iter_mut();
                return items
                    .map(|item| self.visit_item(item))
                    .try_fold(true, |all, narrow| Ok(all & narrow?));
            }
        };
        if !narrow {
            self.count_wide(item.span())?;
        }
        Ok(narrow)
    }

    fn count_wide(&mut self, span: &Span) -> Result<(), PatternError> {
        self.wide += 1;
        if self.wide > WIDE_MAX {
            return Err(PatternError::TooComplex { advice: "use fewer classes with characters above ASCII" });
        }
        let _ = span;
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

fn refuse_unicode_flag(flags: &ast::Flags) -> Result<(), PatternError> {
    match flags.flag_state(ast::Flag::Unicode) {
        None => Ok(()),
        Some(_) => Err(PatternError::syntax(
            "Unicode is asked for beside the pattern, not with a flag in it",
            flags.span.start.offset,
        )),
    }
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
const WIDE_MAX: usize = 64;
