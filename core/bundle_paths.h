// Names inside bundles: which ones every host and every client keep as they are. Pure.
#pragma once
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

inline constexpr std::size_t max_bundle_files = 100'000;
inline constexpr std::size_t max_path_depth = 16;
inline constexpr std::size_t max_path_part_bytes = 255;

/// One part of a path, or a torrent's name. `invalid` with the reason and the name, made printable.
Result<void> check_path_part(std::string_view part);

/// Names inside bundles: valid UTF-8 without control characters, parts up to 255 bytes that libtorrent keeps as they are, never "."
/// or "..", depth ≤ 16, no two (files or folders) that differ only in (ASCII) case, no file that is also a folder, nothing below a
/// top folder ".pad" (hybrid torrents keep their padding there), at most max_bundle_files.
Result<void> check_bundle_paths(const std::vector<std::string>& paths);

/// The order of files in a torrent: bytewise by path part, as the file tree is walked.
bool path_before(std::string_view a, std::string_view b);

std::vector<std::string> split_path(std::string_view path);

/// For error messages: the name in quotes, with what is not printable ASCII or valid UTF-8 escaped, and cut when very long.
std::string quoted_name(std::string_view name);

/// Text of strangers as a terminal may show it: whatever could steer the terminal is shown as \xNN, line ends and tabs stay.
std::string shown_text(std::string_view text);

/// The same in one line: line ends and tabs are escaped too, so that no stranger's words look like lines of ours.
std::string visible_text(std::string_view text);

/// True for well-formed UTF-8 (no overlong forms, no surrogates) without control characters.
bool is_plain_text(std::string_view text);

}  // namespace tnode
