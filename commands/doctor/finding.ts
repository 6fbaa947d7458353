/** What a check of `ovsbox doctor` has to say. */
export interface Finding {
  /** "bad": something does not work; "warn": it may not, or not as it could; "good": looked at, and well. */
  readonly level: "good" | "warn" | "bad";
  readonly subject: string;
  readonly what: string;
  /** What follows from it, and what to type. */
  readonly meaning?: string;
  readonly command?: string;
}

export const good = (subject: string, what: string): Finding => ({ level: "good", subject, what });

export const warn = (subject: string, what: string, meaning: string, command?: string): Finding => ({
  level: "warn",
  subject,
  what,
  meaning,
  ...(command === undefined ? {} : { command }),
});

export const bad = (subject: string, what: string, meaning: string, command?: string): Finding => ({
  ...warn(subject, what, meaning, command),
  level: "bad",
});
