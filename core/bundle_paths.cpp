// Names inside bundles: see bundle_paths.h. The list of what libtorrent changes is that of its sanitize_append_path_element (2.0).
#include "core/bundle_paths.h"

#include <algorithm>
#include <map>

namespace tnode {
namespace {

constexpr std::uint32_t no_code_point = 0xffffffff;

/// Takes one code point off the front; no_code_point when it is not well-formed UTF-8 (RFC 3629).
std::uint32_t take_code_point(std::string_view& text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  std::uint32_t first = byte(0);
  std::size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (size == 0 || size > text.size()) return no_code_point;
  std::uint32_t code = size == 1 ? first : first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return no_code_point;
    code = code << 6 | (byte(i) & 0x3f);
  }
  if ((size == 3 && code < 0x800) || (size == 4 && code < 0x10000) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return no_code_point;
  text.remove_prefix(size);
  return code;
}

bool is_control(std::uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

/// Marks that turn the writing direction: a name that shows as another. libtorrent drops them.
bool turns_direction(std::uint32_t code) { return code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e); }

/// Marks that isolate a direction: libtorrent keeps them in names, and on a screen they mislead as much.
bool isolates_direction(std::uint32_t code) { return code >= 0x2066 && code <= 0x2069; }

/// libtorrent cuts a part at the first code point that ends at byte 240 or later, and keeps what follows only from the last dot
/// among the nine last bytes on. True when nothing is lost by that.
bool survives_cut(std::string_view part) {
  constexpr std::size_t cut_bytes = 240, extension_bytes = 9;
  if (part.size() <= cut_bytes) return true;
  std::string_view rest = part;
  while (!rest.empty() && part.size() - rest.size() < cut_bytes) take_code_point(rest);
  if (rest.empty()) return true;
  return rest.size() <= extension_bytes && rest.rfind('.') == 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

Error bad_name(std::string_view name, const char* why) { return fail(Code::invalid, "the name " + quoted_name(name) + " is refused: " + why); }

}  // namespace

Result<void> check_path_part(std::string_view part) {
  if (part.empty()) return bad_name(part, "a part of a path is empty");
  if (part == "." || part == "..") return bad_name(part, "it would leave its folder");
  if (part.size() > max_path_part_bytes) return bad_name(part, "a part of a path has at most 255 bytes");
  for (std::string_view rest = part; !rest.empty();) {
    std::uint32_t code = take_code_point(rest);
    if (code == no_code_point) return bad_name(part, "it is not valid UTF-8");
    if (is_control(code)) return bad_name(part, "it has control characters");
    if (turns_direction(code)) return bad_name(part, "it has marks that turn the writing direction");
    if (code == '/' || code == '\\') return bad_name(part, "slashes and backslashes cannot be in a name");
  }
  if (!survives_cut(part)) return bad_name(part, "BitTorrent clients shorten it; use at most 240 bytes");
  return {};
}

Result<void> check_bundle_paths(const std::vector<std::string>& paths) {
  if (paths.size() > max_bundle_files)
    return fail(Code::invalid, "a bundle has at most " + std::to_string(max_bundle_files) + " files, not " + std::to_string(paths.size()));
  struct Seen { std::string_view name; bool folder; };
  std::map<std::string, Seen> seen;  // by lower-case path
  for (const std::string& path : paths) {
    std::size_t depth = 0;
    for (std::size_t begin = 0; begin <= path.size(); ++depth) {
      if (depth == max_path_depth) return bad_name(path, "it is more than 16 folders deep");
      std::size_t slash = std::min(path.find('/', begin), path.size());
      std::string_view part = std::string_view(path).substr(begin, slash - begin);
      if (auto ok = check_path_part(part); !ok) {
        if (path.size() == part.size()) return ok;
        return fail(Code::invalid, ok.error().message + " (in " + quoted_name(path) + ")");
      }
      if (depth == 0 && lower_case(part) == ".pad") return bad_name(path, "torrents keep their padding in .pad");
      bool folder = slash != path.size();
      std::string_view whole = std::string_view(path).substr(0, slash);
      auto [place, fresh] = seen.emplace(lower_case(whole), Seen{whole, folder});
      const Seen& other = place->second;
      if (!fresh && other.name != whole)
        return fail(Code::invalid, "the names " + quoted_name(other.name) + " and " + quoted_name(whole) + " differ only in case");
      if (!fresh && !(folder && other.folder))
        return bad_name(whole, folder == other.folder ? "it is there twice" : "it is a file and a folder at once");
      begin = slash + 1;
    }
  }
  return {};
}

bool path_before(std::string_view a, std::string_view b) {
  // A slash ends a part, so it sorts before every byte that a part may have.
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    int left = x == '/' ? -1 : static_cast<std::uint8_t>(x), right = y == '/' ? -1 : static_cast<std::uint8_t>(y);
    return left < right;
  });
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    std::size_t slash = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, slash - begin));
    begin = slash + 1;
  }
  return parts;
}

std::string quoted_name(std::string_view name) {
  constexpr std::size_t shown_bytes = 120;
  std::string text = "'";
  for (std::string_view rest = name; !rest.empty();) {
    if (text.size() > shown_bytes) return text + "…'";
    std::string_view before = rest;
    std::uint32_t code = take_code_point(rest);
    if (code == no_code_point || is_control(code) || turns_direction(code)) {
      if (rest.size() == before.size()) rest.remove_prefix(1);
      for (char c : before.substr(0, before.size() - rest.size())) text += "\\x" + to_hex(std::string_view(&c, 1));
    } else {
      text += before.substr(0, before.size() - rest.size());
    }
  }
  return text + "'";
}

std::string shown_text(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::string_view before = text;
    const std::uint32_t code = take_code_point(text);
    if (code == no_code_point) text.remove_prefix(1);
    const bool harmless = code == '\n' || code == '\t' || (code != no_code_point && !is_control(code) && !turns_direction(code) && !isolates_direction(code));
    const unsigned named = code == no_code_point ? static_cast<unsigned char>(before.front()) : code;
    if (harmless) shown += before.substr(0, before.size() - text.size());
    else if (named > 0xff) shown += "\xEF\xBF\xBD";  // U+FFFD: what turns the direction of writing
    else shown.append("\\x").append(1, "0123456789abcdef"[named >> 4]).append(1, "0123456789abcdef"[named & 15]);
  }
  return shown;
}

std::string visible_text(std::string_view text) {
  std::string visible;
  for (char c : shown_text(text)) visible += c == '\n' ? "\\x0a" : c == '\t' ? "\\x09" : std::string(1, c);
  return visible;
}

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    std::uint32_t code = take_code_point(text);
    if (code == no_code_point || is_control(code)) return false;
  }
  return true;
}

}  // namespace tnode
