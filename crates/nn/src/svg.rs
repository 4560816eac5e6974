//! What pictures share: how an SVG begins, and texts in it.

/// The font size of all text, in pixels.
pub const FONT_SIZE: f64 = 12.0;

/// Opens an SVG of these extents, in the colours of the page it stands on: texts and what is of class `line`, `faint`,
/// `head`, `card`, `quiet` or `over` (a text that stands on lines) are light on dark where the reader asked for that.
pub fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"{FONT_SIZE}\">\n<style>\n\
         .page{{fill:#fff}} text{{fill:#1a1a1a}} .quiet{{fill:#5f5f5f}} .card{{fill:#f5f5f5;stroke:#8a8a8a}} \
         .line{{fill:none;stroke:#6a6a6a}} .faint{{fill:none;stroke:#ddd}} .head{{fill:#6a6a6a}} \
         .over{{paint-order:stroke;stroke:#fff;stroke-width:5}}\n\
         @media (prefers-color-scheme: dark){{.page{{fill:#161616}} text{{fill:#eaeaea}} .quiet{{fill:#a8a8a8}} \
         .card{{fill:#242424;stroke:#7c7c7c}} .line{{stroke:#a0a0a0}} .faint{{stroke:#3c3c3c}} .head{{fill:#a0a0a0}} \
         .over{{stroke:#161616}}}}\n\
         </style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    )
}

/// A text as it stands in an SVG.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// At least the width of a text in pixels, in the widest of the usual fonts.
pub(crate) fn width_of(text: &str, is_bold: bool) -> f64 {
    let of = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | '\'' | '|' | ' ' | '(' | ')' | '[' | ']' => 0.4,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 1.0,
        '_' => 0.5,
        'A'..='Z' => 0.75,
        letter if letter.is_ascii() => 0.64,
        _ => 1.05,
    };
    text.chars().map(of).sum::<f64>() * FONT_SIZE * if is_bold { 1.12 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_place() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        // Measured by a browser in DejaVu Sans at 12 pixels.
        for (text, is_bold, width) in
            [("(None, 128, 128, 64)", false, 124.6), ("multi_head_attention", true, 143.3), ("mmwwMW_illi", true, 94.8)]
        {
            let estimate = width_of(text, is_bold);
            assert!((width..1.35 * width).contains(&estimate), "{text}: {estimate} for {width}");
        }
    }
}
