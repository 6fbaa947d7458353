/** Text that the bundler takes in. */
declare module "*.md" {
  const text: string;
  export default text;
}
