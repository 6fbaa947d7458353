/** Files that are taken in as texts. */
declare module "*.txt" {
  const text: string;
  export default text;
}
