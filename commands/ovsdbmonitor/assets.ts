/** The page's texts, as scripts/build has bundled them; the compiler puts them into the executable. */

import html from "../../dist/page/index.html.txt" with { type: "text" };
import style from "../../dist/page/page.css.txt" with { type: "text" };
import script from "../../dist/page/page.js.txt" with { type: "text" };
import type { Assets } from "../../src/web/site.ts";

export const pageAssets: Assets = { html, script, style };
