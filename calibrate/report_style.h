#pragma once
// The style sheet of calibration_report.html. Grey is before, blue is after, orange marks what theory says; the three
// stay apart for readers who see red and green alike.

namespace vulcat::calibrate {

inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;--ink:#1b232e;--soft:#5a6675;--paper:#ffffff;--panel:#f6f8fa;--line:#d8dee6;
--rail:#e8ecf1;--before:#94a0b0;--step:#8fb3e6;--after:#2566cc;--mark:#c65a00;--worse:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9dabbc;--paper:#11151b;--panel:#191f28;--line:#323c49;
--rail:#252d38;--before:#76849a;--step:#4a6fa8;--after:#6aa5ff;--mark:#ffa347;--worse:#ff8a80}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1220px;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.6rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .6rem}
h4{font-size:.95rem;margin:0;overflow-wrap:anywhere}
p{margin:.4rem 0 .8rem;max-width:72ch}
p.legend{max-width:none}
.lead{font-size:1.1rem;color:var(--soft);margin-bottom:1.2rem}
.soft,figcaption{color:var(--soft);font-size:.875rem}
code{font:.9em ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;margin:0}
dl.facts div{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-weight:600;font-size:.93rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
ul{padding-left:1.2rem;margin:.4rem 0}
li{max-width:76ch;margin:.15rem 0}
.tablebox{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .75rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;min-width:9rem}
td.bar{min-width:6rem;width:10rem}
td.bar svg{vertical-align:middle}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(265px,1fr));gap:1rem}
.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.75rem .8rem;min-width:0}
.card svg{margin-top:.5rem}
.card ul{font-size:.875rem;margin-bottom:0}
.card p{font-size:.875rem;margin:.1rem 0 0}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:1rem 1.5rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:1.5rem;align-items:start}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .9em;vertical-align:-.05em}
.key:first-child{margin-left:0}
.key.before{background:var(--before)}.key.after{background:var(--after)}.key.step{background:var(--step)}
.key.mark{background:var(--mark);width:3px}
.key.any{background:repeating-linear-gradient(var(--mark) 0 3px,transparent 3px 5px);width:3px}
.worse{color:var(--worse)}
svg{display:block;width:100%;height:auto;font-family:inherit}
svg text{font-size:11px;fill:var(--ink);font-variant-numeric:tabular-nums}
svg .name{font-size:12px;font-weight:600}
svg .soft{fill:var(--soft);font-size:10.5px}
svg .rail{fill:var(--rail)}
svg .before{fill:var(--before)}
svg .after{fill:var(--after)}
svg .step{fill:var(--step)}
svg .grid{stroke:var(--line);stroke-width:1}
svg .link{stroke:var(--after);stroke-width:2;opacity:.55}
svg .link.worse{stroke:var(--worse)}
svg .mark{stroke:var(--mark);stroke-width:2}
svg .any{stroke-dasharray:3 2}
@media print{
:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--panel:#fff;--line:#bbb;--rail:#eee;--before:#94a0b0;
--step:#8fb3e6;--after:#2566cc;--mark:#c65a00;--worse:#b3261e}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
html{font-size:9.5pt}body{font-size:1rem}main{max-width:none;padding:0}
h2{margin-top:1.6rem}h2,h3,.legend{break-after:avoid}.card,.panels svg,tr,figure{break-inside:avoid}
.tablebox{overflow:visible}th,td{padding:.25rem .5rem}td.bar{min-width:5rem}
.cards{grid-template-columns:repeat(2,1fr);gap:.5rem}.panels{grid-template-columns:repeat(4,1fr)}
@page{margin:14mm}}
)css";

}  // namespace vulcat::calibrate
