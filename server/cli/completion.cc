#include "server/cli/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace ringfence::cli {
namespace {

// Single-quoted for a shell.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// The words that name a subcommand, over the whole tree: what moves bash and zsh from one path to the next.
std::string Paths(const std::vector<Completable>& tree) {
  std::string out;
  for (const Completable& node : tree) {
    if (!node.path.empty()) absl::StrAppend(&out, out.empty() ? "" : "|", Quoted(node.path));
  }
  return out;
}

}  // namespace

std::string BashCompletion(const std::vector<Completable>& tree) {
  std::string out =
      "# bash completion for ringfence: source <(ringfence completion bash)\n"
      "_ringfence() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at='' next word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    next=\"${at:+$at }$word\"\n";
  absl::StrAppend(&out, "    case \"$next\" in ", Paths(tree), ") at=$next ;; esac\n  done\n");
  absl::StrAppend(&out, "  case \"$at $prev\" in\n");
  for (const Completable& node : tree) {
    for (const Completable::Word& word : node.words) {
      if (word.values.empty()) continue;
      absl::StrAppend(&out, "    ", Quoted(absl::StrCat(node.path, " ", word.word)),
                      ") COMPREPLY=($(compgen -W ", Quoted(absl::StrJoin(word.values, " ")),
                      " -- \"$cur\")); return ;;\n");
    }
  }
  absl::StrAppend(&out, "  esac\n  case \"$at\" in\n");
  for (const Completable& node : tree) {
    absl::StrAppend(
        &out, "    ", Quoted(node.path), ") COMPREPLY=($(compgen ", node.files ? "-f " : "", "-W ",
        Quoted(absl::StrJoin(node.words, " ",
                             [](std::string* to, const Completable::Word& word) { to->append(word.word); })),
        " -- \"$cur\")) ;;\n");
  }
  return out + "  esac\n}\ncomplete -o filenames -F _ringfence ringfence\n";
}

std::string ZshCompletion(const std::vector<Completable>& tree) {
  std::string out =
      "#compdef ringfence\n"
      "# zsh completion for ringfence: source <(ringfence completion zsh)\n"
      "_ringfence() {\n"
      "  local at='' next word\n"
      "  local -a choices\n"
      "  for word in ${words[2,CURRENT-1]}; do\n"
      "    next=\"${at:+$at }$word\"\n";
  absl::StrAppend(&out, "    case \"$next\" in ", Paths(tree),
                  ") at=$next ;; esac\n  done\n  case \"$at ${words[CURRENT-1]}\" in\n");
  for (const Completable& node : tree) {
    for (const Completable::Word& word : node.words) {
      if (word.values.empty()) continue;
      absl::StrAppend(&out, "    ", Quoted(absl::StrCat(node.path, " ", word.word)), ") compadd ",
                      absl::StrJoin(word.values, " "), "; return ;;\n");
    }
  }
  absl::StrAppend(&out, "  esac\n  case \"$at\" in\n");
  for (const Completable& node : tree) {
    absl::StrAppend(&out, "    ", Quoted(node.path), ") choices=(");
    for (const Completable::Word& word : node.words) {
      absl::StrAppend(
          &out, "\n      ",
          Quoted(absl::StrCat(word.word, ":", absl::StrReplaceAll(FirstLine(word.help), {{":", "\\:"}}))));
    }
    absl::StrAppend(&out, ")\n      _describe ringfence choices", node.files ? "; _files" : "", " ;;\n");
  }
  return out + "  esac\n}\ncompdef _ringfence ringfence\n";
}

std::string FishCompletion(const std::vector<Completable>& tree) {
  std::string out =
      "# fish completion for ringfence: ringfence completion fish | source\n"
      "function __ringfence_at\n"
      "  set -l at ''\n"
      "  for word in (commandline -opc)[2..]\n"
      "    set -l next (string trim \"$at $word\")\n"
      "    switch $next\n"
      "      case ";
  for (const Completable& node : tree) {
    if (!node.path.empty()) absl::StrAppend(&out, Quoted(node.path), " ");
  }
  absl::StrAppend(&out,
                  "\n        set at $next\n    end\n  end\n  test \"$at\" = \"$argv[1]\"\nend\ncomplete -c "
                  "ringfence -f\n");
  for (const Completable& node : tree) {
    const std::string when = absl::StrCat(" -n \"__ringfence_at ", Quoted(node.path), "\"");
    for (const Completable::Word& word : node.words) {
      const bool option = word.word.substr(0, 2) == "--";
      absl::StrAppend(&out, "complete -c ringfence", when, option ? " -l " : " -a ",
                      Quoted(option ? word.word.substr(2) : word.word), " -d ", Quoted(FirstLine(word.help)));
      if (!word.values.empty()) absl::StrAppend(&out, " -x -a ", Quoted(absl::StrJoin(word.values, " ")));
      out += "\n";
    }
    if (node.files) absl::StrAppend(&out, "complete -c ringfence", when, " -F\n");
  }
  return out;
}

}  // namespace ringfence::cli
