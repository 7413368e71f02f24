//! A document as one HTML file: it needs nothing else, no script runs, and it can be printed.
//!
//! The evidence stands at its end in elements that no browser shows or runs. Every text goes through
//! [`super::words::escaped`].

use std::fmt::Write as _;

use super::document::{Block, Document, Table};
use super::lines::MaterialSection;
use super::plot::{letter, svg};
use super::words::escaped;

/// Before a section of the evidence, its name between the two.
const OPENS: [&str; 2] = ["<script type=\"application/x-ringback-evidence\" id=\"evidence-", "\">\n"];
const CLOSES: &str = "</script>\n";

/// A cell of so many bytes stays in one line.
const SHORT: usize = 22;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--ok:#7aa7c7;--bad:#a40e26;--mark:#6639ba}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#373e47;--paper:#0f1318;--ok:#3d6f94;--bad:#ff7b72;--mark:#c297ff}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .2rem}p{margin:.5rem 0}p.sub{color:var(--soft)}
div.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.87rem;font-variant-numeric:tabular-nums;margin:.4rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600}th.s,td.s{white-space:nowrap;overflow-wrap:normal}summary{cursor:pointer;margin:.6rem 0}
svg{width:100%;height:auto;font-size:11px;fill:var(--soft)}svg .ok{fill:var(--ok)}svg .bad{fill:var(--bad)}
svg .axis{stroke:var(--line)}svg line.mark{stroke:var(--mark);stroke-dasharray:3 2}svg text.mark{fill:var(--mark);font-weight:700}
ul.key{list-style:none;padding:0;font-size:.87rem}ul.key b.ok,ul.key b.bad{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
ul.key b.ok{background:var(--ok)}ul.key b.bad{background:var(--bad)}ul.key b.mark{color:var(--mark);margin-right:.5em}
div.gap{border:1px dashed var(--soft);min-height:5rem;padding:.4rem .6rem;margin:.6rem 0;color:var(--soft)}
@media print{:root{color-scheme:light}body{max-width:none;margin:0;font-size:11px}details:not([open])>*{display:revert}tr,svg,div.gap{break-inside:avoid}h2{break-after:avoid}}
";

/// The whole file.
pub fn page(document: &Document, evidence: &[MaterialSection]) -> String {
    let Document { title, subtitle, parts } = document;
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n<title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n<p \
         class=\"sub\">{1}</p>\n",
        escaped(title),
        escaped(subtitle)
    );
    for part in parts {
        let _ = writeln!(out, "<section>\n<h2>{}</h2>", escaped(&part.heading));
        part.blocks.iter().for_each(|b| block(&mut out, b));
        out.push_str("</section>\n");
    }
    for MaterialSection { name, text } in evidence {
        let _ = write!(out, "{}{name}{}{text}{CLOSES}", OPENS[0], OPENS[1]);
    }
    out + "</body>\n</html>\n"
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Paragraph(text) => {
            let _ = writeln!(out, "<p>{}</p>", escaped(text));
        }
        Block::List(items) => {
            let items: String = items.iter().map(|i| format!("<li>{}</li>\n", escaped(i))).collect();
            let _ = writeln!(out, "<ul>\n{items}</ul>");
        }
        Block::Table(t) => table(out, t),
        Block::Folded(title, t) => {
            let _ = writeln!(out, "<details>\n<summary>{}</summary>", escaped(title));
            table(out, t);
            out.push_str("</details>\n");
        }
        Block::Plot(plot) => {
            let _ = writeln!(out, "<h3>{}</h3>\n{}", escaped(&plot.title), svg(plot));
            let _ = writeln!(
                out,
                "<ul class=\"key\">\n<li><b class=\"ok\"></b>{unit} that were served <b \
                 class=\"bad\"></b>{unit} that failed, by {} min</li>",
                plot.step / 60,
                unit = plot.unit
            );
            for (nth, mark) in plot.marks.iter().enumerate() {
                let (at, text) = (super::words::clock(mark.at), escaped(&mark.text));
                let _ = writeln!(out, "<li><b class=\"mark\">{}</b>{at} {text}</li>", letter(nth));
            }
            out.push_str("</ul>\n");
        }
        Block::Gap(what) => {
            let _ = writeln!(out, "<h3>{}</h3>\n<div class=\"gap\"></div>", escaped(what));
        }
    }
}

fn table(out: &mut String, t: &Table) {
    let cells = |tag: &str, row: &[String]| -> String {
        // An instant, a figure or a word is not broken.
        let class = |c: &str| if c.len() <= SHORT { " class=\"s\"" } else { "" };
        row.iter().map(|c| format!("<{tag}{}>{}</{tag}>", class(c), escaped(c))).collect()
    };
    let _ = writeln!(out, "<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>", cells("th", &t.head));
    for row in &t.rows {
        let _ = writeln!(out, "<tr>{}</tr>", cells("td", row));
    }
    out.push_str("</tbody></table></div>\n");
}

/// A section of the evidence in a page.
pub fn section(page: &str, name: &str) -> Option<String> {
    let start = page.find(&format!("{}{name}{}", OPENS[0], OPENS[1]))?;
    let text = &page[start + OPENS[0].len() + name.len() + OPENS[1].len()..];
    Some(text[..text.find(CLOSES)?].to_owned())
}
