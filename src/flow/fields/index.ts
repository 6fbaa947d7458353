/** The field registry's public face. */
export * from "./access.ts";
export * from "./registry.ts";
export * from "./types.ts";
