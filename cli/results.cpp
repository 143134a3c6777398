#include "cli/results.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "cli/bundle_disk.h"
#include "core/result_manifest.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t read_bytes = 1 << 20;

Result<void> write_plainly(const std::string& path, std::string_view bytes, bool executable) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return fail(Code::io, "cannot write " + path + " (is the disk full?)");
  std::error_code ec;
  if (executable) fs::permissions(path, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add, ec);
  return {};
}

/// Moves a finished folder to <parent_dir>/<name>; another that is there already holds the same bytes and stays.
Result<StoredBundle> move_into_place(const std::string& from, const Torrent& torrent, const std::string& parent_dir) {
  std::error_code ec;
  if (auto there = find_bundle(parent_dir)) {
    fs::remove_all(from, ec);
    return there;
  }
  fs::create_directories(parent_dir, ec);
  fs::remove_all(parent_dir + "/" + torrent.name, ec);
  fs::rename(from, parent_dir + "/" + torrent.name, ec);
  if (ec) return fail(Code::io, "cannot move " + from + " to " + parent_dir + ": " + ec.message());
  return keep_bundle(torrent, parent_dir);
}

/// Writes a bundle that is in memory to its place.
Result<StoredBundle> keep_files(const std::string& parent, const Torrent& torrent, const std::vector<MemoryFile>& files) {
  if (auto there = find_bundle(parent)) return there;
  for (const auto& file : files) {
    fs::path path = fs::path(parent) / torrent.name / file.path;  // build_torrent refused names that lead elsewhere
    std::error_code ec;
    fs::create_directories(path.parent_path(), ec);
    if (auto written = write_plainly(path.string(), file.content, file.executable); !written) return written.error();
  }
  return keep_bundle(torrent, parent);
}

}  // namespace

Result<StoredBundle> find_bundle(const std::string& parent_dir) {
  const std::string path = parent_dir + "/" + bundle_torrent_name;
  auto bytes = read_file(path);
  if (!bytes) return bytes.error().code == Code::not_found ? fail(Code::not_found, "no bundle in " + parent_dir) : bytes.error();
  auto torrent = parse_canonical_torrent(*bytes);
  if (!torrent) return torrent.error();
  StoredBundle bundle{std::move(*torrent), parent_dir};
  if (auto whole = check_bundle_on_disk(bundle.torrent, bundle.dir()); !whole) return whole.error();
  return bundle;
}

Result<StoredBundle> keep_bundle(const Torrent& torrent, const std::string& parent_dir) {
  if (auto written = write_file_atomically(parent_dir + "/" + bundle_torrent_name, torrent.bytes); !written) return written.error();
  return StoredBundle{torrent, parent_dir};
}

Result<Bytes> v1_twin_of(const StoredBundle& bundle) {
  const std::string path = bundle.parent_dir + "/" + twin_torrent_name;
  if (auto there = read_file(path); there || there.error().code != Code::not_found) return there;
  auto twin = build_v1_twin(bundle.torrent, [&](const std::string& file, const std::function<void(std::string_view)>& chunk) -> Result<void> {
    std::ifstream stream(bundle.dir() + "/" + file, std::ios::binary);
    if (!stream) return fail(Code::io, "cannot read " + bundle.dir() + "/" + file);
    std::string buffer(read_bytes, '\0');
    while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || stream.gcount() > 0)
      chunk(std::string_view(buffer).substr(0, static_cast<std::size_t>(stream.gcount())));
    return {};
  });
  if (!twin) return twin;
  if (auto written = write_file_atomically(path, *twin); !written) return written.error();
  return twin;
}

Result<void> write_torrent_and_twin(const StoredBundle& bundle, const std::string& stem) {
  if (auto written = write_file_atomically(stem + ".torrent", bundle.torrent.bytes); !written) return written;
  auto twin = v1_twin_of(bundle);
  if (!twin) return twin.error();
  return write_file_atomically(stem + ".v1.torrent", *twin);
}

void remove_half_made_bundles(const std::string& folder) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.is_directory(ec) && !fs::exists(entry.path() / bundle_torrent_name, ec)) fs::remove_all(entry.path(), ec);
}

Result<PackedResult> pack_unit_result(const Home& home, const std::string& collected_dir, const TaskId& task, UnitNumber unit, const ExecutionReport& report) {
  const Bytes manifest = unit_result_manifest(task, unit, report.outcome, report.failed_index);
  const std::string name = result_name(manifest);
  std::error_code ec;
  fs::create_directories(collected_dir, ec);
  // A failed unit's votes agree on how it failed; what it left half done differs from run to run.
  if (!report.outcome.good()) fs::remove_all(collected_dir + "/out", ec);
  if (auto written = write_plainly(collected_dir + "/manifest", manifest, false); !written) return written.error();

  PackedResult packed;
  std::int64_t total = static_cast<std::int64_t>(manifest.size());
  for (const auto& file : report.files) total += file.size + static_cast<std::int64_t>(file.path.size());
  Result<Torrent> torrent = fail(Code::invalid, "");
  if (total <= static_cast<std::int64_t>(max_inline_bytes) && report.files.size() < 64) {
    std::vector<MemoryFile> files{{"manifest", false, manifest}};
    packed.inline_files.push_back({"manifest", false, manifest});
    if (report.outcome.good()) {
      for (const auto& file : report.files) {
        auto content = read_file(collected_dir + "/" + file.path);
        if (!content) return content.error();
        files.push_back({file.path, file.executable, *content});
        packed.inline_files.push_back({file.path, file.executable, std::move(*content)});
      }
    }
    packed.inlined = true;
    torrent = torrent_of_memory(name, files);
  } else {
    torrent = hash_folder(collected_dir, name);
  }
  if (!torrent) return torrent.error();
  auto bundle = move_into_place(collected_dir, *torrent, home.result_dir(rename_id<ResultId>(torrent->v2_hash)));
  if (!bundle) return bundle.error();
  packed.bundle = std::move(*bundle);
  return packed;
}

Result<StoredBundle> keep_certificate(const Home& home, const Certificate& certificate, const TaskId& task) {
  const Bytes manifest = certificate_manifest(task, certificate.result), bytes = encode_certificate(certificate);
  if (bytes.size() > max_certificate_bytes) return fail(Code::invalid, "the certificate would be larger than 64 MiB");
  const std::vector<MemoryFile> files{{certificate_file, false, bytes}, {"manifest", false, manifest}};
  auto torrent = torrent_of_memory(certificate_name(manifest), files);
  if (!torrent) return torrent.error();
  return keep_files(home.result_dir(rename_id<ResultId>(torrent->v2_hash)), *torrent, files);
}

Result<StoredBundle> keep_segment(const Home& home, const SegmentManifest& manifest, const Bytes& blocks, const Bytes& halves) {
  const Bytes text = encode_segment_manifest(manifest);
  std::vector<MemoryFile> files{{segment_blocks_file, false, blocks}, {"manifest", false, text}};
  if (!halves.empty()) files.push_back({segment_halves_file, false, halves});
  auto torrent = torrent_of_memory(segment_name(text), files);
  if (!torrent) return torrent.error();
  return keep_files(home.segment_dir(torrent->v2_hash), *torrent, files);
}

Result<Certificate> read_certificate(const StoredBundle& bundle) {
  auto bytes = read_file(bundle.dir() + "/" + certificate_file);
  if (!bytes) return bytes.error();
  return decode_certificate(*bytes);
}

Result<StoredBundle> keep_inline_result(const Home& home, const ResultId& agreed, const std::vector<InlineFile>& files) {
  std::string manifest;
  std::vector<MemoryFile> contents;
  for (const auto& file : files) {
    contents.push_back({file.path, file.executable, file.content});
    if (file.path == "manifest") manifest = file.content;
  }
  auto torrent = torrent_of_memory(result_name(manifest), contents);
  if (!torrent) return torrent.error();
  if (rename_id<ResultId>(torrent->v2_hash) != agreed) return fail(Code::invalid, "the files sent are not the agreed result");
  return keep_files(home.result_dir(agreed), *torrent, contents);
}

}  // namespace tnode
