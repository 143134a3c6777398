// Makes runtimes that `tnode runtime pack` would never make: whatever is asked for lands in an image, with a manifest and a canonical
// torrent, in the home of a requester that offers it. Prints its id.
//
// usage: runtime_forger HOME MANIFEST ENTRY…
//   MANIFEST  fits | small | MACHINE       says what is there, less than that, or that it is for another machine
//   ENTRY     file:PATH:CONTENT  program:PATH:CONTENT  folder:PATH  link:PATH:TARGET  type:CHAR:PATH  mode:OCTAL:PATH  zeros:PATH:BYTES  cut
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/bundle_disk.h"
#include "cli/runtime_store.h"
#include "core/tree_image.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

/// The sum in a header that was changed by hand.
void sum_again(Bytes& header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  header.replace(148, 6, digits, 6);
  header[154] = '\0';
}

Bytes entry_bytes(const std::string& asked, RuntimeManifest& manifest) {
  const auto first = asked.find(':'), second = asked.find(':', first + 1);
  const std::string word = asked.substr(0, first), one = asked.substr(first + 1, second - first - 1), other = second == std::string::npos ? "" : asked.substr(second + 1);
  using Kind = ImageEntry::Kind;
  ImageEntry entry{Kind::file, one, 0, word == "program", {}};
  Bytes content = other;
  if (word == "folder") entry.kind = Kind::folder, content.clear();
  if (word == "link") entry.kind = Kind::link, entry.target = other, content.clear();
  if (word == "type" || word == "mode") entry.path = other, content.clear();
  if (word == "zeros") content.assign(static_cast<std::size_t>(std::atoll(other.c_str())), '\0');
  entry.size = static_cast<std::int64_t>(content.size());
  Bytes header = encode_image_entry(entry);
  if (word == "type") header[156] = one.front();
  if (word == "mode") header.replace(100, 7, one);
  if (word == "type" || word == "mode") sum_again(header);
  manifest.entries += 1;
  manifest.disk_bytes += disk_bytes_of(entry.size);
  return header + content + Bytes(tree_padding(entry.size), '\0');
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  auto home = Home::find(argv[1]);
  if (!home || !home->make()) return 1;
  RuntimeManifest manifest{"any", 0, 0};
  Bytes image;
  bool cut = false;
  for (int i = 3; i < argc; ++i) {
    if (std::string(argv[i]) == "cut") cut = true;
    else image += entry_bytes(argv[i], manifest);
  }
  if (!cut) image += tree_end();
  const std::string says = argv[2];
  if (says == "small") manifest.entries = 1, manifest.disk_bytes = disk_bytes_of(1);
  else if (says != "fits") manifest.machine = says;
  const std::string folder = home->work_dir() + "/forged", manifest_bytes = encode_runtime_manifest(manifest);
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder + "/" + runtime_manifest_file, std::ios::binary) << manifest_bytes;
  std::ofstream(folder + "/" + runtime_image_file, std::ios::binary) << image;
  auto torrent = hash_folder(folder, runtime_name(manifest_bytes));
  if (!torrent) return std::fprintf(stderr, "%s\n", torrent.error().message.c_str()), 1;
  const RuntimeId id = rename_id<RuntimeId>(torrent->v2_hash);
  fs::create_directories(home->runtime_dir(id));
  fs::rename(folder, home->runtime_dir(id) + "/" + torrent->name);
  if (!keep_bundle(*torrent, home->runtime_dir(id)) || !name_runtime(*home, id, "forged")) return 1;
  std::printf("%s\n", to_hex(id).c_str());
}
