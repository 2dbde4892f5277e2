//! As much of XML as the answers of STS need: the text of an element that has no others in it.

use zeroize::Zeroizing;

/// Returns the text of the first element of this name that has nothing but text in it. The caller has bounded the length of `xml`.
pub(super) fn text_of(xml: &str, name: &str) -> Option<Zeroizing<String>> {
    let content = openings(xml, name).find_map(|(attributes, behind)| {
        let (content, end) = behind.split_once('<')?;
        let end = end.strip_prefix('/').and_then(|end| end.strip_prefix(name)).map(str::trim_start);
        (!attributes.ends_with('/') && end.is_some_and(|end| end.starts_with('>'))).then_some(content)
    });
    unescaped(content?.trim())
}

/// Returns what stands in each tag of this name, and what follows the tag. Each byte is looked at once, however often the name is there.
fn openings<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut rest = xml;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('<')?;
            rest = after;
            // Attributes have no meaning here, but a longer name is another one.
            let after =
                after.strip_prefix(name).filter(|after| after.starts_with(['>', ' ', '\t', '\r', '\n']));
            if let Some(after) = after {
                let (attributes, behind) = after.split_once('>')?;
                rest = behind;
                return Some((attributes, behind));
            }
        }
    })
}

/// Puts characters in the place of what stands for them. `None` if something stands for none.
fn unescaped(text: &str) -> Option<Zeroizing<String>> {
    // It only becomes shorter, and what grows leaves copies behind.
    let mut unescaped = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        unescaped.push_str(before);
        let (name, after) = after.split_once(';')?;
        unescaped.push(match name {
            "amp" => '&',
            "apos" => '\'',
            "gt" => '>',
            "lt" => '<',
            "quot" => '"',
            name => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    unescaped.push_str(rest);
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(xml: &str) -> Option<String> {
        text_of(xml, "Token").map(|text| text.to_string())
    }

    /// With a look behind each of these names, a server could stop a thread of the runtime for many seconds.
    #[test]
    fn names_in_front_of_one_end_of_a_tag_are_one_tag() {
        let xml = format!("{}>x<y", "<Token ".repeat(1_000));

        assert_eq!(openings(&xml, "Token").count(), 1);
        assert_eq!(found(&xml), None);
    }

    #[test]
    fn text_of_an_element_is_found_wherever_it_stands() {
        for (xml, text) in [
            ("<Token>x</Token>", "x"),
            (
                "<?xml version=\"1.0\"?>\n<A xmlns=\"y\"><TokenType>no</TokenType><Token>\n a b </Token></A>",
                "a b",
            ),
            ("<Token kind='1'>x</Token >", "x"),
            ("<Token><Inner>y</Inner></Token><Token>x</Token>", "x"),
            ("<Token/><Token>x</Token>", "x"),
            ("<Token></Token>", ""),
            ("<Token>&lt;a&amp;b&gt;&quot;&apos;&#65;&#x42;</Token>", "<a&b>\"'AB"),
        ] {
            assert_eq!(found(xml).as_deref(), Some(text), "{xml}");
        }
    }

    #[test]
    fn what_is_no_element_is_none() {
        for xml in [
            "",
            "Token",
            "<Token>",
            "<Token>x",
            "<Token>x</Other>",
            "<token>x</token>",
            "<Token>&nbsp;</Token>",
            "<Token>&</Token>",
            "<Token>&#xd800;</Token>",
            "<Token>&#99999999999;</Token>",
        ] {
            assert_eq!(found(xml), None, "{xml}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        proptest::proptest!(|(xml in "[<>/&;#x0-9A-Ztoken ]{0,60}")| {
            if let Some(text) = found(&xml) {
                proptest::prop_assert!(text.len() <= xml.len());
            }
        });
    }
}
