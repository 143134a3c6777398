// The canonical info dictionary: see torrent_info.h; field by field in docs/torrents.md.
#include "core/torrent_info.h"

#include <algorithm>
#include <bit>

#include "core/amount.h"

namespace tnode {
namespace {

constexpr std::int64_t meta_version = 2;

/// Attributes in the order of BEP 47; only the executable bit is ever set.
void put_attributes(bencode::Dictionary& file, bool executable) {
  if (executable) file["attr"] = "x";
}

bencode::Value v1_file(const Torrent::File& file) {
  bencode::List path;
  for (std::string& part : split_path(file.path)) path.emplace_back(std::move(part));
  bencode::Dictionary entry;
  put_attributes(entry, file.executable);
  entry["length"] = file.size;
  entry["path"] = std::move(path);
  return entry;
}

bencode::Value v1_padding(std::int64_t size) {
  return bencode::Dictionary{{"attr", "p"}, {"length", size}, {"path", bencode::List{".pad", std::to_string(size)}}};
}

void put_in_tree(bencode::Dictionary& tree, const Torrent::File& file) {
  bencode::Dictionary* folder = &tree;
  for (std::string& part : split_path(file.path)) {
    bencode::Value& entry = (*folder)[std::move(part)];
    if (!entry.dictionary()) entry = bencode::Dictionary{};
    folder = entry.dictionary();
  }
  bencode::Dictionary leaf;
  put_attributes(leaf, file.executable);
  leaf["length"] = file.size;
  if (file.size > 0) leaf["pieces root"] = Bytes(file.pieces_root.view());
  (*folder)[""] = std::move(leaf);
}

}  // namespace

std::int64_t piece_length_for(std::int64_t total_size) {
  constexpr std::int64_t wanted_pieces = 1024;
  std::int64_t least = std::clamp<std::int64_t>(total_size / wanted_pieces + (total_size % wanted_pieces != 0), min_piece_length, max_piece_length);
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(least)));
}

Result<std::int64_t> total_size_of(const std::vector<Torrent::File>& files) {
  std::int64_t total = 0;
  for (const Torrent::File& file : files) {
    auto sum = checked_add(total, file.size);
    if (file.size < 0 || !sum || *sum > max_bundle_bytes)
      return fail(Code::invalid, "the sizes of the torrent's files add up to more than " + std::to_string(max_bundle_bytes) + " bytes, or one is negative");
    total = *sum;
  }
  if (total == 0) return fail(Code::invalid, "a torrent needs a file that is not empty");
  return total;
}

std::int64_t padding_after(const InfoContent& content, std::size_t file) {
  std::int64_t rest = content.files[file].size % content.piece_length;
  return rest == 0 || file + 1 == content.files.size() ? 0 : content.piece_length - rest;
}

std::int64_t v1_piece_count(const InfoContent& content) {
  std::int64_t pieces = 0;  // every file begins at a piece boundary
  for (const Torrent::File& file : content.files) pieces += (file.size + content.piece_length - 1) / content.piece_length;
  return pieces;
}

bencode::Dictionary info_dictionary(const InfoContent& content) {
  bencode::Dictionary tree;
  bencode::List v1_files;
  for (std::size_t i = 0; i < content.files.size(); ++i) {
    put_in_tree(tree, content.files[i]);
    v1_files.push_back(v1_file(content.files[i]));
    if (std::int64_t padding = padding_after(content, i); padding > 0) v1_files.push_back(v1_padding(padding));
  }
  bencode::Dictionary info;
  info["file tree"] = std::move(tree);
  info["files"] = std::move(v1_files);
  info["meta version"] = meta_version;
  info["name"] = content.name;
  info["piece length"] = content.piece_length;
  info["pieces"] = content.v1_pieces;
  return info;
}

Torrent assemble_torrent(InfoContent content, Bytes info, const bencode::Dictionary& layers) {
  Torrent torrent;
  bool layers_needed = false;
  for (const Torrent::File& file : content.files) {
    torrent.total_size += file.size;
    layers_needed = layers_needed || file.size > content.piece_length;
  }
  torrent.name = std::move(content.name);
  torrent.piece_length = content.piece_length;
  torrent.files = std::move(content.files);
  torrent.v2_hash = sha256(info);
  torrent.v1_hash = sha1(info);
  // Spliced, not decoded and encoded again: info is canonical already.
  if (!layers_needed) torrent.bytes = "d4:info" + info + "e";
  else if (!layers.empty()) torrent.bytes = "d4:info" + info + "12:piece layers" + bencode::encode(layers) + "e";
  torrent.info = std::move(info);
  return torrent;
}

}  // namespace tnode
