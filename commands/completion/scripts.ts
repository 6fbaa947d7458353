/** The few lines that a shell needs to ask `ovsbox --complete`; all knowledge stays in the executable. */

/** `:files` in the answer means names of files. */
const BASH = (
  names: readonly string[],
): string => `# bash completion for ovsbox and its applets: ovsbox completion bash
_ovsbox() {
  local current words
  COMPREPLY=()
  # bash cuts words at "=" and ":"; the line is cut at blanks instead.
  local line=\${COMP_LINE:0:$COMP_POINT}
  local -a typed
  read -ra typed <<<"$line"
  [[ $line == *[[:space:]] ]] && typed+=("")
  current=\${typed[-1]}
  mapfile -t words < <(ovsbox --complete "$((\${#typed[@]} - 1))" "\${typed[@]}" 2>/dev/null)
  if [[ \${words[0]} == :files ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  local word
  for word in "\${words[@]}"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
  # Only what follows the last cut may be given back.
  local cut=\${current%"\${COMP_WORDS[COMP_CWORD]}"}
  [[ \${COMP_WORDS[COMP_CWORD]} == [=:] ]] && cut=$current
  [[ -n $cut ]] && COMPREPLY=("\${COMPREPLY[@]#"$cut"}")
  [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}
complete -F _ovsbox ${names.join(" ")}
`;

const ZSH = (names: readonly string[]): string => `#compdef ${names.join(" ")}
# zsh completion for ovsbox and its applets: ovsbox completion zsh
_ovsbox() {
  local -a answer
  answer=(\${(f)"$(ovsbox --complete $((CURRENT - 1)) "\${words[@]}" 2>/dev/null)"})
  if [[ $answer[1] == :files ]]; then
    _files
    return
  fi
  local -a open=(\${(M)answer:#*=}) closed=(\${answer:#*=})
  compadd -S '' -- $open
  compadd -- $closed
}
_ovsbox "$@"
`;

const FISH = (
  names: readonly string[],
): string => `# fish completion for ovsbox and its applets: ovsbox completion fish
function __ovsbox_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l answer (ovsbox --complete (math (count $typed) - 1) $typed 2>/dev/null)
    if test "$answer[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $answer
    end
end
${names.map((name) => `complete -c ${name} -f -a '(__ovsbox_complete)'\n`).join("")}`;

export const SHELLS: Readonly<Record<string, (names: readonly string[]) => string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
};
