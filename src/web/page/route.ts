/** Where the page is. */
import { parseRoute } from "./address.ts";
import { Store } from "./store.ts";

class RouteStore extends Store {
  route = parseRoute(location.hash);

  constructor() {
    super();
    addEventListener("hashchange", () => {
      this.route = parseRoute(location.hash);
      this.changed();
    });
  }

  /** `replace`: without another step in the browser's history. */
  go(to: string, replace = false): void {
    if (to === location.hash) return;
    if (!replace) {
      location.hash = to;
      return;
    }
    history.replaceState(null, "", to);
    this.route = parseRoute(to);
    this.changed();
  }
}

export const router = new RouteStore();
