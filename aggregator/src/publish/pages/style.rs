//! The one style sheet of the pages. Its hash is in their Content-Security-Policy, so it is a constant.

/// Light and dark, wide and narrow, screen and A4.
pub(crate) const SHEET: &str = r#"
:root{color-scheme:light dark;--ink:#17202c;--muted:#5a6573;--line:#d8dde4;--hair:#e9ecf0;--bg:#fff;--tint:#f5f7f9;--track:#eceff3;--band:#d9dfe7;--link:#1d4f7c;
--achieved:#0b6b4c;--ahead:#2c8c7c;--ontrack:#2f6cae;--atrisk:#b56a00;--behind:#b4291f;--none:#7a828e}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaef;--muted:#9aa5b3;--line:#343d49;--hair:#262e38;--bg:#12171e;--tint:#1a212a;--track:#232c37;--band:#33404f;--link:#8fbbe6;
--achieved:#45b88d;--ahead:#62c7b5;--ontrack:#72a9e4;--atrisk:#e0a04a;--behind:#ef8278;--none:#8c96a3}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 "Source Sans 3","Noto Sans","Helvetica Neue",Arial,"Liberation Sans","PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif;font-variant-numeric:tabular-nums lining-nums;overflow-wrap:break-word}
h1,.facts dd,.matrix th,.lead,.kicker{overflow-wrap:anywhere}
main,.top,footer,.loading{max-width:1136px;margin:0 auto;padding:0 24px}
h1,h2,h3{line-height:1.2;font-weight:600;margin:0;text-wrap:balance}
h1{font-size:32px;letter-spacing:-.01em}h2{font-size:21px}h3{font-size:17px}
:lang(zh-Hans) h1{letter-spacing:0}
p{margin:0}a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:3px}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.num{font-variant-numeric:tabular-nums lining-nums;white-space:nowrap}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-9999px}.skip:focus{left:24px;top:8px}
.sheet{position:absolute}
.top{display:flex;justify-content:space-between;align-items:baseline;padding-top:18px;padding-bottom:14px}
.brand{font-weight:700;color:var(--ink);text-decoration:none;letter-spacing:.01em}
.top nav{display:flex;gap:16px;font-size:14px}.top nav span{color:var(--muted)}
main{border-top:3px solid var(--ink);padding-top:28px}
.kicker{font-size:14px;color:var(--muted);margin-bottom:8px}
.other-name{color:var(--muted);margin-top:6px}
.lead{font-size:19px;line-height:1.45;max-width:46em;margin-top:14px}
:lang(zh-Hans) .lead{line-height:1.65}
.years{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:14px;margin-top:16px}
.years strong{border-bottom:2px solid var(--ink)}
section{margin-top:48px}section>h2{border-top:1px solid var(--line);padding-top:14px}
.sub{color:var(--muted);font-size:14px;max-width:60em;margin-top:4px}
.loading{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:center;font-size:14px;padding-bottom:14px}
.loading progress{flex:1 1 200px;height:8px;accent-color:var(--ontrack)}
svg{display:block;max-width:100%}svg[height]{width:100%}svg.sym{width:14px;flex:none}svg.sheet{width:0}svg.y-axis{width:44px;flex:none}
svg text{fill:var(--ink);font-size:13px}svg .note{fill:var(--muted);font-size:12px}svg .strong{fill:var(--ink)}
.achieved{color:var(--achieved)}.ahead{color:var(--ahead)}.ontrack{color:var(--ontrack)}.atrisk{color:var(--atrisk)}.behind{color:var(--behind)}.insufficient{color:var(--none)}.untargeted{color:var(--none)}
rect.untargeted{color:#64788f}
.sym{fill:currentColor}.check{fill:none;stroke:var(--bg);stroke-width:2}.hollow{fill:none;stroke:currentColor;stroke-width:2;stroke-dasharray:3 2}
.bar,.seg{fill:currentColor}.track{fill:var(--track)}.band{fill:var(--band)}
.grid{stroke:var(--hair);stroke-width:1}.zero{stroke:var(--ink);stroke-width:1}.stage{stroke:var(--ink);stroke-width:2.5}.tick{stroke:var(--ink);stroke-width:1.5}
.path-mark{fill:var(--ink)}
.seg{stroke:var(--bg);stroke-width:1}
.standing{display:inline-flex;align-items:center;gap:6px;font-weight:600;white-space:nowrap}
.overview{display:grid;grid-template-columns:minmax(150px,1.1fr) auto minmax(0,2.6fr) minmax(230px,1.2fr);column-gap:28px;margin-top:22px}
.overview>[role=row]{display:grid;grid-template-columns:subgrid;grid-column:1/-1;align-items:center;border-top:1px solid var(--hair);padding:10px 0 6px}
.overview>[role=row].head{border-top:0;font-size:13px;color:var(--muted);padding:0 0 6px}
.overview .name{font-weight:600;line-height:1.3}.overview .name small,.panel small{display:block;font-weight:400;color:var(--muted);font-size:13px}
.big{font-size:28px;font-weight:600;letter-spacing:-.01em;line-height:1.1;white-space:nowrap;text-align:right}
.big+.standing,.big .standing{font-size:14px}
.overview .standing{font-size:14px;justify-content:flex-end;display:flex;letter-spacing:0;margin-top:3px}
.counts{display:flex;flex-wrap:wrap;gap:2px 11px;list-style:none;margin:7px 0 0;padding:0;font-size:14px}
.counts li{display:flex;align-items:center;gap:5px}.counts li.zero-count{opacity:.35}
.overview .axis-row{display:grid;grid-template-columns:subgrid;grid-column:1/-1}
.overview .axis-cell{grid-column:3}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;list-style:none;margin:14px 0 0;padding:0;font-size:13px;color:var(--muted)}
.legend li{display:flex;align-items:center;gap:6px}.legend svg{width:auto;flex:none}
.filters{display:grid;gap:6px;margin:16px 0 0;font-size:14px}
.filters div{display:flex;flex-wrap:wrap;gap:2px 14px}.filters dt,.filters b{font-weight:400;color:var(--muted);min-width:4.5em}
.filters strong{border-bottom:2px solid var(--ink)}
.matrix{width:100%;border-collapse:collapse;margin-top:18px;font-size:15px}
.matrix th{font-weight:400;text-align:left}
.matrix thead th{font-size:13px;color:var(--muted);vertical-align:bottom;padding:0 0 6px 24px;border-bottom:1px solid var(--ink)}
.matrix tbody th,.matrix td{padding:7px 0 7px 24px;border-bottom:1px solid var(--hair);vertical-align:top}
.matrix tbody th{width:27%;line-height:1.35}.matrix tbody th small{display:block;color:var(--muted);font-size:13px}
.matrix thead th:first-child,.matrix tbody th{padding-left:0}
.matrix .group th,.matrix .group td{padding-top:22px;border-bottom-color:var(--line)}.matrix .group th{font-weight:600}
.cell{display:grid;grid-template-columns:minmax(40px,1fr) 3.7em 14px;align-items:center;gap:8px;min-height:22px}
.cell .num{text-align:right}.cell .none{color:var(--muted)}
.data{border-collapse:collapse;margin-top:12px;font-size:14px;width:100%}
.data th,.data td{text-align:right;padding:5px 0 5px 18px;border-bottom:1px solid var(--hair);vertical-align:top;font-weight:400}
.data th:first-child,.data td:first-child{text-align:left;padding-left:0;white-space:nowrap}
.data thead th{color:var(--muted);font-size:13px;border-bottom:1px solid var(--ink);vertical-align:bottom}
.data .text{text-align:left}.data td.text{min-width:3.4em}.why{max-width:640px}.effects{max-width:760px}.effects td:nth-child(2){width:45%}.effects tfoot th,.effects tfoot td{border-bottom:0;font-weight:600}.effects .seg{stroke:none}.effects th:first-child{white-space:normal}
blockquote{margin:12px 0 0;padding-left:14px;border-left:2px solid var(--line);color:var(--muted);font-size:14px;max-width:52em}
.truths .data th,.truths .data td{padding-left:8px}.truths .data th:first-child{padding-left:0}
.scroll{overflow-x:auto}
.places{align-items:baseline}
.doors,.plain{list-style:none;margin:16px 0 0;padding:0;font-size:14px}.doors small{display:block}.doors li,.plain li{margin:3px 0;overflow-wrap:anywhere}
.rows{width:100%;border-collapse:collapse;margin-top:14px;font-size:14px}
.rows thead th{font-weight:400;font-size:13px;color:var(--muted);text-align:left;vertical-align:bottom;padding:0 0 6px 16px;border-bottom:1px solid var(--ink)}
.rows tbody{border-bottom:1px solid var(--hair)}
.rows tbody th{text-align:left;font-weight:400;overflow-wrap:anywhere}.rows tbody th b{font-weight:600}.rows small{display:block;color:var(--muted);font-size:13px}
.rows tbody th,.rows td{padding:8px 0 8px 16px;vertical-align:top}.rows .n{text-align:right;white-space:nowrap}
.rows thead th:first-child,.rows tbody th,.rows .notes td{padding-left:0}
.rows .notes td{padding-top:0;color:var(--muted);overflow-wrap:anywhere}.rows .why{color:var(--ink)}
code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.92em}
.data.wrap th:first-child,.data.wrap td{white-space:normal;overflow-wrap:anywhere}
.meanings{margin:12px 0 0;font-size:14px}.meanings div{display:grid;grid-template-columns:7em minmax(0,1fr);gap:4px 16px;margin:6px 0}.meanings dd{margin:0;max-width:56em}
details{margin-top:14px;font-size:14px}summary{cursor:pointer;color:var(--link);width:fit-content}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:14px 28px;margin:22px 0 0}
.facts dt{font-size:13px;color:var(--muted)}.facts dd{margin:0;line-height:1.4}
.panels{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:44px 48px;margin-top:36px}
.panels>section{margin:0;min-width:0}
.panel h2{border-top:2px solid var(--ink);padding-top:10px;font-size:19px}
.panel .reading{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;gap:2px 16px;margin:8px 0 2px}
.panel .big{text-align:left;font-size:34px}
.beside{margin:0 0 4px;font-size:13px;color:var(--muted)}.whisker{stroke:var(--ink);stroke-width:1.5}
.panel .bullet{margin-top:10px}.panel .per-unit{color:var(--muted);font-size:14px}
.stages{display:flex;flex-wrap:wrap;gap:2px 20px;list-style:none;margin:2px 0 12px;padding:0;font-size:14px}.stages li{display:flex;align-items:center;gap:6px}
.chart{display:flex;align-items:flex-start}.chart .plot{flex:1 1 0;min-width:0}
.chart.strip{margin-top:2px}.strip-label{flex:none;width:44px;padding-right:6px;text-align:right;font-size:12px;line-height:12px;color:var(--muted)}
.plot path,.plot line{vector-effect:non-scaling-stroke}
.glide{fill:none;stroke:var(--ink);stroke-width:1.25;stroke-dasharray:5 4}
.quarters{fill:none;stroke:var(--ontrack);stroke-width:1.25;opacity:.55;stroke-linejoin:round}
.year{fill:none;stroke:var(--ontrack);stroke-width:4}.year.shown{stroke:currentColor;stroke-width:6}
text{paint-order:stroke;stroke:var(--bg);stroke-width:3px;stroke-linejoin:round}.value{fill:currentColor;font-weight:600}.stage-mark{fill:var(--bg);stroke:var(--ink);stroke-width:1.75}.truth{fill:none;stroke:var(--ink);stroke-width:1.5}
.c-full{fill:var(--ontrack)}.c-most{fill:var(--ontrack);opacity:.5}.c-some{fill:var(--ontrack);opacity:.22}.c-none{fill:none;stroke:var(--none);stroke-width:1;stroke-dasharray:2 2}
.findings{margin:10px 0 0;padding:0;list-style:none;font-size:14px;color:var(--muted)}.findings li{padding-left:14px;text-indent:-14px}.findings li::before{content:"– "}
.box{background:var(--tint);padding:20px 24px 22px;margin-top:48px}.box h2{border:0;padding:0}
.box ol{margin:12px 0 0;padding-left:1.3em;max-width:52em}.box li{margin:3px 0}
.truths{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:8px 36px;margin-top:14px}
.truths h3{font-size:15px;margin-top:10px}
footer{border-top:1px solid var(--line);margin-top:64px;padding-top:14px;padding-bottom:40px;font-size:13px;color:var(--muted)}
footer p{margin:2px 0}
@media (max-width:900px){
.overview{display:block}
.overview>[role=row]{display:grid;grid-template-columns:1fr auto;gap:6px 16px;padding:16px 0 12px}
.overview>[role=row].head{display:none}.overview .wide{grid-column:1/-1}.overview .axis-row{padding:0;display:block}
.panels{grid-template-columns:minmax(0,1fr)}.truths{grid-template-columns:repeat(2,minmax(0,1fr))}
}
@media (max-width:760px){
main,.top,footer,.loading{padding-left:16px;padding-right:16px}
h1{font-size:25px}.lead{font-size:17px}.kicker{margin-bottom:6px}
.matrix,.matrix tbody,.matrix tr,.matrix th,.matrix td{display:block;width:auto}
.matrix thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.matrix tbody th{width:auto;padding:14px 0 2px;border:0}.matrix td{padding:0;border:0}
.matrix tr{border-bottom:1px solid var(--hair);padding-bottom:12px}
.matrix .group{border-bottom-color:var(--ink)}.matrix .group th{font-size:18px;padding-top:26px}
.matrix .group td{padding-top:0}
.cell{grid-template-columns:7.2em minmax(40px,1fr) 4.1em 14px}
.cell::before{content:attr(data-label);color:var(--muted);font-size:13px;line-height:1.2}
.truths{grid-template-columns:minmax(0,1fr)}.box{margin-left:-16px;margin-right:-16px;padding:16px}
.plot .odd{display:none}
.rows,.rows tbody,.rows th,.rows td{display:block;width:auto}
.rows thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.rows tbody{padding:12px 0}.rows tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1px 24px}
.rows tbody th,.rows td{padding:1px 0}.rows tbody th,.rows tbody th+td,.rows .notes td{grid-column:1/-1}
.rows .n{display:flex;justify-content:space-between;gap:8px}.rows .n::before{content:attr(data-label);color:var(--muted)}
.rows .notes td{padding-top:4px}.meanings div{grid-template-columns:minmax(0,1fr)}
.data{font-size:13px}.data th,.data td{padding-left:12px}
}
@media print{
@page{size:A4;margin:14mm 14mm 16mm}
:root{--bg:#fff;--ink:#000;--muted:#444;--line:#bbb;--hair:#ddd;--tint:#fff;--track:#e8e8e8;--band:#d0d0d0;--link:#000;--achieved:#0b6b4c;--ahead:#2c8c7c;--ontrack:#2f6cae;--atrisk:#b56a00;--behind:#b4291f;--none:#777}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{font-size:11pt}main,.top,footer{padding-left:0;padding-right:0;max-width:none}
.top nav,.filters,.years,.skip,.loading{display:none}
section,.panel,.matrix tr,.overview>[role=row]{break-inside:avoid}section{margin-top:24px}
a{text-decoration:none;color:inherit}h1{font-size:20pt}.lead{font-size:12pt}
}
"#;

#[cfg(test)]
mod tests {
    use super::SHEET;

    #[test]
    fn the_sheet_cannot_end_its_element_and_names_no_other_origin() {
        assert!(!SHEET.contains('<'));
        assert!(!SHEET.contains("http") && !SHEET.contains("url("));
        assert_eq!(SHEET.matches('{').count(), SHEET.matches('}').count());
    }
}
