// Building torrents: the canonical hybrid, and the v1-only twin for old clients. See torrent.h.
#include <algorithm>

#include "core/torrent_info.h"

namespace tnode {
namespace {

std::int64_t pieces_of(std::int64_t size, std::int64_t piece_length) { return (size + piece_length - 1) / piece_length; }

std::string_view view_of(const Sha1Hash& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

/// A digest of another piece length would give a torrent that no client can check.
bool digest_fits(const FileHasher::Digest& digest, std::int64_t piece_length) {
  auto pieces = static_cast<std::size_t>(pieces_of(digest.size, piece_length));
  return digest.v1_pieces.size() == pieces && digest.piece_layer.size() == (pieces > 1 ? pieces : 0);
}

/// SHA-1 over pieces that run across file boundaries.
class RunningPieces {
 public:
  explicit RunningPieces(std::int64_t piece_length) : piece_length_(static_cast<std::size_t>(piece_length)) {}
  void update(std::string_view data) {
    while (!data.empty()) {
      std::size_t part = std::min(data.size(), piece_length_ - piece_.size());
      piece_.append(data.substr(0, part));
      data.remove_prefix(part);
      if (piece_.size() == piece_length_) end_piece();
    }
  }
  Bytes finish() {
    if (!piece_.empty()) end_piece();
    return std::move(hashes_);
  }

 private:
  void end_piece() {
    hashes_ += view_of(sha1(piece_));
    piece_.clear();
  }
  std::size_t piece_length_;
  Bytes piece_, hashes_;
};

}  // namespace

Result<Torrent> build_torrent(const std::string& name, std::vector<BundleFile> files, std::int64_t piece_length) {
  if (auto ok = check_path_part(name); !ok) return ok.error();
  std::vector<std::string> paths;
  for (const BundleFile& file : files) paths.push_back(file.path);
  if (auto ok = check_bundle_paths(paths); !ok) return ok.error();
  std::sort(files.begin(), files.end(), [](const BundleFile& a, const BundleFile& b) { return path_before(a.path, b.path); });

  InfoContent content{name, piece_length, {}, {}};
  for (const BundleFile& file : files) content.files.push_back({file.path, file.digest.size, file.executable, file.digest.pieces_root});
  auto total = total_size_of(content.files);
  if (!total) return total.error();
  if (piece_length != piece_length_for(*total))
    return fail(Code::invalid, "a canonical torrent of " + std::to_string(*total) + " bytes has pieces of " + std::to_string(piece_length_for(*total)) +
                                   " bytes, but the files were hashed in pieces of " + std::to_string(piece_length));
  bencode::Dictionary layers;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const FileHasher::Digest& digest = files[i].digest;
    if (!digest_fits(digest, piece_length)) return fail(Code::invalid, "the hashes of " + quoted_name(files[i].path) + " are of another piece length");
    for (const Sha1Hash& piece : digest.v1_pieces) content.v1_pieces += view_of(piece);
    if (i + 1 == files.size() && !digest.v1_pieces.empty()) {
      content.v1_pieces.resize(content.v1_pieces.size() - digest.v1_last_unpadded.size());
      content.v1_pieces += view_of(digest.v1_last_unpadded);
    }
    if (digest.piece_layer.empty()) continue;
    Bytes layer;
    for (const Hash& hash : digest.piece_layer) layer += hash.view();
    layers[Bytes(digest.pieces_root.view())] = std::move(layer);
  }
  Bytes info = bencode::encode(info_dictionary(content));
  return assemble_torrent(std::move(content), std::move(info), layers);
}

Result<Bytes> build_v1_twin(const Torrent& torrent, const ReadFile& read) {
  RunningPieces pieces(torrent.piece_length);
  bencode::List files;
  for (const Torrent::File& file : torrent.files) {
    std::int64_t size = 0;
    auto ok = read(file.path, [&](std::string_view data) {
      size += static_cast<std::int64_t>(data.size());
      pieces.update(data);
    });
    if (!ok) return ok.error();
    if (size != file.size)
      return fail(Code::io, quoted_name(file.path) + " has " + std::to_string(size) + " bytes now, but " + std::to_string(file.size) +
                                " when it was packed: it changed in between; pack it again");
    bencode::List path;
    for (std::string& part : split_path(file.path)) path.emplace_back(std::move(part));
    bencode::Dictionary entry{{"length", file.size}, {"path", std::move(path)}};
    if (file.executable) entry["attr"] = "x";
    files.emplace_back(std::move(entry));
  }
  bencode::Dictionary info{{"files", std::move(files)}, {"name", torrent.name}, {"piece length", torrent.piece_length}, {"pieces", pieces.finish()}};
  return bencode::encode(bencode::Dictionary{{"info", std::move(info)}});
}

}  // namespace tnode
