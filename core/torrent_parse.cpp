// Reading torrents from outside: every field is read strictly, the whole is built again and compared. See torrent.h.
#include <algorithm>
#include <set>

#include "core/torrent_info.h"

namespace tnode {
namespace {

using bencode::Dictionary;
using bencode::Value;

constexpr std::size_t sha1_bytes = 20, sha256_bytes = 32;

Error refused(const std::string& why) { return fail(Code::invalid, "the torrent is not in canonical form: " + why); }

/// Only keys of the list may be there: an ignored key would be a second spelling of one content.
Result<void> check_keys(const Dictionary& dictionary, std::initializer_list<std::string_view> known, const std::string& where) {
  for (const auto& [key, value] : dictionary)
    if (std::find(known.begin(), known.end(), key) == known.end()) return refused("the key " + quoted_name(key) + " in " + where + " is none of this format's");
  return {};
}

/// Files of a file tree in its own order.
class TreeReader {
 public:
  Result<std::vector<Torrent::File>> read(const Dictionary& tree) {
    if (auto ok = read_folder(tree, "", 0); !ok) return ok.error();
    return std::move(files_);
  }

 private:
  Result<void> read_folder(const Dictionary& folder, const std::string& path, std::size_t depth) {
    if (folder.empty()) return refused("an empty folder " + quoted_name(path));
    if (depth >= max_path_depth) return refused(quoted_name(path) + " is more than 16 folders deep");
    for (const auto& [name, value] : folder) {
      std::string below = path.empty() ? name : path + "/" + name;
      const Dictionary* entry = value.dictionary();
      if (!entry) return refused(quoted_name(below) + " in the file tree is no dictionary");
      auto leaf = entry->find("");
      if (leaf == entry->end()) {
        if (auto ok = read_folder(*entry, below, depth + 1); !ok) return ok;
        continue;
      }
      if (entry->size() != 1) return refused(quoted_name(below) + " is a file and a folder at once");
      if (auto ok = read_file(leaf->second, below); !ok) return ok;
    }
    return {};
  }

  Result<void> read_file(const Value& leaf, const std::string& path) {
    if (files_.size() == max_bundle_files) return refused("more than " + std::to_string(max_bundle_files) + " files");
    if (!leaf.dictionary()) return refused(quoted_name(path) + " has no dictionary of a file");
    if (auto ok = check_keys(*leaf.dictionary(), {"attr", "length", "pieces root"}, quoted_name(path)); !ok) return ok;
    const Value* length = leaf.find("length");
    if (!length || !length->integer() || *length->integer() < 0) return refused(quoted_name(path) + " has no length");
    Torrent::File file{path, *length->integer(), false, {}};
    if (const Value* attributes = leaf.find("attr")) {
      if (*attributes != Value("x")) return refused(quoted_name(path) + " has an attribute other than 'x'");
      file.executable = true;
    }
    const Value* root = leaf.find("pieces root");
    if ((root != nullptr) != (file.size > 0)) return refused(quoted_name(path) + (root ? " is empty, yet has hashes" : " has no pieces root"));
    if (root) {
      auto hash = root->bytes() ? Hash::from_bytes(*root->bytes()) : fail(Code::invalid, "");
      if (!hash) return refused("the pieces root of " + quoted_name(path) + " is not 32 bytes");
      file.pieces_root = *hash;
    }
    files_.push_back(std::move(file));
    return {};
  }

  std::vector<Torrent::File> files_;
};

Result<InfoContent> read_info(const Value& info) {
  if (!info.dictionary()) return refused("its info is no dictionary");
  if (auto ok = check_keys(*info.dictionary(), {"file tree", "files", "meta version", "name", "piece length", "pieces"}, "info"); !ok) return ok.error();
  const Value *tree = info.find("file tree"), *name = info.find("name"), *piece_length = info.find("piece length"), *pieces = info.find("pieces");
  if (!tree || !tree->dictionary()) return refused("it has no file tree, as a torrent of version 2 has");
  if (!name || !name->bytes()) return refused("it has no name");
  if (!piece_length || !piece_length->integer()) return refused("it has no piece length");
  if (!pieces || !pieces->bytes()) return refused("it has no pieces, as a hybrid torrent has");

  InfoContent content{*name->bytes(), *piece_length->integer(), {}, *pieces->bytes()};
  if (auto ok = check_path_part(content.name); !ok) return ok.error();
  auto files = TreeReader().read(*tree->dictionary());
  if (!files) return files.error();
  content.files = std::move(*files);
  std::vector<std::string> paths;
  for (const Torrent::File& file : content.files) paths.push_back(file.path);
  if (auto ok = check_bundle_paths(paths); !ok) return ok.error();
  auto total = total_size_of(content.files);
  if (!total) return total.error();
  if (content.piece_length != piece_length_for(*total))
    return refused("its pieces have " + std::to_string(content.piece_length) + " bytes; for " + std::to_string(*total) + " bytes in all they have " +
                   std::to_string(piece_length_for(*total)));
  if (content.v1_pieces.size() != static_cast<std::size_t>(v1_piece_count(content)) * sha1_bytes)
    return refused("it has " + std::to_string(content.v1_pieces.size()) + " bytes of v1 piece hashes for " + std::to_string(v1_piece_count(content)) + " pieces");

  Dictionary rebuilt = info_dictionary(content);
  for (const auto& [key, value] : rebuilt) {
    const Value* found = info.find(key);
    if (!found) return refused("info lacks " + quoted_name(key));
    if (*found != value) return refused(quoted_name(key) + " in info is not what the file tree gives (order, padding, attributes or version)");
  }
  return content;
}

/// Every file larger than a piece has its layer, nothing else is there, and each layer hashes to its root.
Result<void> check_layers(const InfoContent& content, const Dictionary& layers) {
  std::set<Hash> checked;
  for (const Torrent::File& file : content.files) {
    if (file.size <= content.piece_length) continue;
    auto place = layers.find(Bytes(file.pieces_root.view()));
    if (place == layers.end() || !place->second.bytes()) return refused("the piece layer of " + quoted_name(file.path) + " is missing");
    const Bytes& layer = *place->second.bytes();
    auto pieces = static_cast<std::size_t>((file.size + content.piece_length - 1) / content.piece_length);
    if (layer.size() != pieces * sha256_bytes)
      return refused("the piece layer of " + quoted_name(file.path) + " has " + std::to_string(layer.size()) + " bytes, not " + std::to_string(pieces * sha256_bytes));
    if (checked.count(file.pieces_root)) continue;  // equal files share a layer
    std::vector<Hash> hashes;
    for (std::size_t i = 0; i < pieces; ++i) hashes.push_back(*Hash::from_bytes(std::string_view(layer).substr(i * sha256_bytes, sha256_bytes)));
    if (root_of_piece_layer(hashes, content.piece_length) != file.pieces_root)
      return refused("the piece layer of " + quoted_name(file.path) + " does not hash to its pieces root");
    checked.insert(file.pieces_root);
  }
  if (checked.size() != layers.size()) return refused("it has piece layers that belong to no file larger than a piece");
  return {};
}

}  // namespace

Result<Torrent> parse_canonical_torrent(std::string_view bytes) {
  if (bytes.size() > max_torrent_bytes) return refused("it is larger than " + std::to_string(max_torrent_bytes) + " bytes");
  auto value = bencode::decode(bytes);
  if (!value) return refused(value.error().message);
  if (!value->dictionary()) return refused("it is no dictionary");
  if (auto ok = check_keys(*value->dictionary(), {"info", "piece layers"}, "the torrent"); !ok) return ok.error();
  const Value* info = value->find("info");
  if (!info) return refused("it has no info");
  auto content = read_info(*info);
  if (!content) return content.error();
  Dictionary layers;
  if (const Value* found = value->find("piece layers")) {
    if (!found->dictionary() || found->dictionary()->empty()) return refused("its piece layers are empty or no dictionary; without any, the key is left out");
    layers = *found->dictionary();
  }
  if (auto ok = check_layers(*content, layers); !ok) return ok.error();
  Bytes rebuilt_info = bencode::encode(info_dictionary(*content));
  Torrent torrent = assemble_torrent(std::move(*content), std::move(rebuilt_info), layers);
  if (torrent.bytes != bytes) return refused("built again from its own content it has other bytes");
  return torrent;
}

Result<Torrent> parse_canonical_info(std::string_view info) {
  if (info.size() > max_torrent_bytes) return refused("its info is larger than " + std::to_string(max_torrent_bytes) + " bytes");
  auto value = bencode::decode(info);
  if (!value) return refused(value.error().message);
  auto content = read_info(*value);
  if (!content) return content.error();
  Bytes rebuilt = bencode::encode(info_dictionary(*content));
  if (rebuilt != info) return refused("built again from its own content it has other bytes");
  return assemble_torrent(std::move(*content), std::move(rebuilt), {});
}

}  // namespace tnode
