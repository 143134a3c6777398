// The project's sources as text, for rules that are checked by reading them.
#pragma once
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tnode::tidy {

struct SourceFile {
  std::string path;  ///< below the project's folder, slash separated
  std::string text;
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (std::size_t begin = 0; begin < text.size();) {
      const auto end = std::min(text.find('\n', begin), text.size());
      all.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return all;
  }
  std::string folder() const { return path.substr(0, path.find('/')); }
  bool is_header() const { return path.ends_with(".h"); }
};

/// Files below the given folders whose names end in one of the endings, sorted by path.
inline std::vector<SourceFile> source_files(const std::vector<std::string>& folders, const std::vector<std::string>& endings) {
  namespace fs = std::filesystem;
  const fs::path root = TNODE_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const auto& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = fs::relative(entry.path(), root).generic_string();
      const bool wanted = std::any_of(endings.begin(), endings.end(), [&](const std::string& ending) { return path.ends_with(ending); });
      if (!entry.is_regular_file() || !wanted) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      files.push_back({path, {std::istreambuf_iterator<char>(file), {}}});
    }
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

/// The text with comments, and the insides of strings and characters, replaced by spaces; lines stay where they are.
inline std::string code_only(const std::string& text) {
  enum class In { code, line_comment, block_comment, string, character, raw_string } in = In::code;
  std::string code = text, raw_end;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : '\0';
    auto blank = [&](std::size_t at) { if (code[at] != '\n') code[at] = ' '; };
    switch (in) {
      case In::code:
        if (c == '/' && (next == '/' || next == '*')) in = next == '/' ? In::line_comment : In::block_comment, blank(i);
        else if (c == 'R' && next == '"') {
          const auto open = text.find('(', i);
          raw_end = ")" + text.substr(i + 2, open - i - 2) + "\"";
          in = In::raw_string;
        }
        else if (c == '"') in = In::string;
        // An apostrophe between digits separates them: 10'000.
        else if (c == '\'' && !(i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1])))) in = In::character;
        break;
      case In::line_comment:
        if (c == '\n') in = In::code; else blank(i);
        break;
      case In::block_comment:
        blank(i);
        if (c == '*' && next == '/') { blank(i + 1); ++i; in = In::code; }
        break;
      case In::raw_string:
        if (text.compare(i, raw_end.size(), raw_end) == 0) { i += raw_end.size() - 1; in = In::code; } else blank(i);
        break;
      case In::string:
      case In::character:
        if (c == '\\') { blank(i); if (i + 1 < text.size()) blank(i + 1); ++i; }
        else if (c == (in == In::string ? '"' : '\'') || c == '\n') in = In::code;
        else blank(i);
        break;
    }
  }
  return code;
}

struct Include { std::string name; bool angled = false; int line = 0; };
inline std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> found;
  int number = 0;
  for (const auto& line : file.lines()) {
    ++number;
    auto at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    const auto open = line.find_first_of("<\"", at);
    if (open == std::string::npos) continue;
    const auto close = line.find(line[open] == '<' ? '>' : '"', open + 1);
    if (close != std::string::npos) found.push_back({line.substr(open + 1, close - open - 1), line[open] == '<', number});
  }
  return found;
}

}  // namespace tnode::tidy
