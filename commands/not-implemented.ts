/** Answers for the applets that the README's status table lists as not implemented. */
export function main(_args: string[], program: string): number {
  console.error(`${program}: not implemented`);
  return 1;
}
