#include "core/tree_image.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

constexpr std::size_t block = static_cast<std::size_t>(tree_block_bytes);
// The fields of a ustar header (POSIX.1-2001, pax, "ustar Interchange Format"): where they begin, how long they are.
constexpr std::size_t name_at = 0, name_bytes = 100, mode_at = 100, uid_at = 108, gid_at = 116, size_at = 124, time_at = 136, sum_at = 148, type_at = 156,
                      link_at = 157, link_bytes = 100, magic_at = 257, device_major_at = 329, device_minor_at = 337;
constexpr std::size_t number_bytes = 8, long_number_bytes = 12;
constexpr char file_type = '0', link_type = '2', folder_type = '5', pax_type = 'x';
constexpr const char* pax_name = "pax";
constexpr std::size_t max_pax_bytes = 2 * (max_tree_path_bytes + 32);

Error refused(const std::string& why) { return fail(Code::invalid, "the image of the file tree: " + why); }

std::size_t padding(std::size_t size) { return (block - size % block) % block; }

/// Octal digits that fill a field but for its closing zero.
void put_number(Bytes& header, std::size_t at, std::size_t bytes, std::uint64_t number) {
  for (std::size_t i = bytes - 1; i-- > 0; number /= 8) header[at + i] = static_cast<char>('0' + number % 8);
}

Bytes header_block(const std::string& name, char type, bool executable, std::uint64_t size, const std::string& target) {
  Bytes header(block, '\0');
  header.replace(name_at, std::min(name.size(), name_bytes), name, 0, name_bytes);
  put_number(header, mode_at, number_bytes, executable ? 0755 : 0644);
  put_number(header, uid_at, number_bytes, 0);
  put_number(header, gid_at, number_bytes, 0);
  put_number(header, size_at, long_number_bytes, size);
  put_number(header, time_at, long_number_bytes, 0);
  header[type_at] = type;
  header.replace(link_at, std::min(target.size(), link_bytes), target, 0, link_bytes);
  header.replace(magic_at, 8, std::string("ustar\0" "00", 8));
  put_number(header, device_major_at, number_bytes, 0);
  put_number(header, device_minor_at, number_bytes, 0);
  // The sum is taken with blanks in its own place, and has a form of its own.
  header.replace(sum_at, number_bytes, number_bytes, ' ');
  std::uint64_t sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  put_number(header, sum_at, number_bytes - 1, sum);
  header[sum_at + number_bytes - 2] = '\0';
  return header;
}

/// "27 path=usr/share/…\n": the length counts its own digits.
Bytes pax_record(const std::string& key, const std::string& value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

std::string field(std::string_view header, std::size_t at, std::size_t bytes) {
  const auto text = header.substr(at, bytes);
  return std::string(text.substr(0, text.find('\0')));
}

std::optional<std::int64_t> number_in(std::string_view header, std::size_t at, std::size_t bytes) {
  std::int64_t number = 0;
  for (char c : header.substr(at, bytes - 1)) {
    if (c < '0' || c > '7') return std::nullopt;
    number = number * 8 + (c - '0');
  }
  return number;
}

/// The records of a pax header's body. Anything odd is seen when the entry is encoded again.
std::map<std::string, std::string> pax_records(std::string_view body) {
  std::map<std::string, std::string> records;
  while (!body.empty()) {
    std::size_t length = 0, digits = 0;
    for (; digits < body.size() && digits < 6 && body[digits] >= '0' && body[digits] <= '9'; ++digits) length = length * 10 + static_cast<std::size_t>(body[digits] - '0');
    if (length < digits + 2 || length > body.size()) break;
    const auto record = body.substr(digits + 1, length - digits - 2);
    const auto equals = record.find('=');
    if (equals != std::string_view::npos) records[std::string(record.substr(0, equals))] = std::string(record.substr(equals + 1));
    body.remove_prefix(length);
  }
  return records;
}

/// The entry that such a header may stand for; whether it does is seen by encoding it.
ImageEntry guess_entry(std::string_view header) {
  const std::string_view main = header.substr(header.size() - block);
  std::map<std::string, std::string> records;
  if (header.size() > block) records = pax_records(header.substr(block, static_cast<std::size_t>(number_in(header, size_at, long_number_bytes).value_or(0))));
  auto recorded = [&](const char* key, std::string otherwise) { return records.count(key) ? records[key] : std::move(otherwise); };
  ImageEntry entry;
  entry.kind = main[type_at] == folder_type ? ImageEntry::Kind::folder : main[type_at] == link_type ? ImageEntry::Kind::link : ImageEntry::Kind::file;
  entry.path = recorded("path", field(main, name_at, name_bytes));
  if (entry.kind == ImageEntry::Kind::folder && entry.path.ends_with('/')) entry.path.pop_back();
  if (entry.kind == ImageEntry::Kind::link) entry.target = recorded("linkpath", field(main, link_at, link_bytes));
  if (entry.kind == ImageEntry::Kind::file) {
    entry.size = number_in(main, size_at, long_number_bytes).value_or(0);
    entry.executable = number_in(main, mode_at, number_bytes) == 0755;
  }
  return entry;
}

/// What a person should read of a header that is not canonical.
std::string oddity(std::string_view header, const ImageEntry& entry) {
  const char type = header[header.size() - block + type_at];
  const std::string name = quoted_name(entry.path);
  if (type == '1') return name + " is a hard link; each file stands for itself";
  if (type == '3' || type == '4') return name + " is a device; a runtime has none";
  if (type == '6') return name + " is a pipe; a runtime has none";
  if (type != file_type && type != link_type && type != folder_type) return name + " is no file, folder or symbolic link";
  return name + " is not written in the one canonical form (owner 0, time 0, mode 644 or 755, no other fields); make the image with `tnode runtime pack`";
}

Result<void> check_path(const std::string& path) {
  auto bad = [&](const char* why) { return refused(quoted_name(path) + " " + why); };
  if (path.empty()) return refused("an entry has no name");
  if (path.find('\0') != std::string::npos) return bad("has a zero byte in it");
  if (path.front() == '/') return bad("is an absolute path");
  if (path.size() > max_tree_path_bytes) return bad("is too long a path");
  const auto parts = split_path(path);
  if (parts.size() > max_tree_depth) return bad("is too deep");
  for (const auto& part : parts) {
    if (part.empty() || part == "." || part == "..") return bad("has an empty part, '.' or '..' in it");
    if (part.size() > max_path_part_bytes) return bad("has a part of more than 255 bytes");
  }
  return {};
}

}  // namespace

Bytes encode_image_entry(const ImageEntry& entry) {
  const bool folder = entry.kind == ImageEntry::Kind::folder, link = entry.kind == ImageEntry::Kind::link;
  const std::string name = folder ? entry.path + "/" : entry.path;
  Bytes records;
  if (entry.target.size() > link_bytes) records += pax_record("linkpath", entry.target);
  if (name.size() > name_bytes) records += pax_record("path", name);
  Bytes bytes;
  if (!records.empty()) {
    bytes = header_block(pax_name, pax_type, false, records.size(), "") + records;
    bytes.append(padding(records.size()), '\0');
  }
  const char type = folder ? folder_type : link ? link_type : file_type;
  return bytes + header_block(name, type, entry.executable || folder || link, static_cast<std::uint64_t>(entry.size), entry.target);
}

std::size_t tree_padding(std::int64_t size) { return padding(static_cast<std::size_t>(size)); }

Bytes tree_end() { return Bytes(2 * block, '\0'); }

Result<void> TreeOrder::add(const ImageEntry& entry) {
  if (auto good = check_path(entry.path); !good) return good;
  if (entry.kind == ImageEntry::Kind::link && (entry.target.empty() || entry.target.size() > max_tree_path_bytes || entry.target.find('\0') != std::string::npos))
    return refused("the link " + quoted_name(entry.path) + " has no usable target");
  if (entry.size < 0 || entry.size > max_tree_file_bytes) return refused(quoted_name(entry.path) + " is larger than 8 GiB");
  if (!last_.empty() && !path_before(last_, entry.path)) return refused(quoted_name(entry.path) + " comes twice or too late");
  const auto slash = entry.path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : entry.path.substr(0, slash);
  while (!open_.empty() && open_.back() != parent) open_.pop_back();
  if (!parent.empty() && open_.empty()) return refused(quoted_name(entry.path) + " is in no folder of the tree");
  if (static_cast<std::size_t>(++entries_) > max_tree_entries) return refused("more than " + std::to_string(max_tree_entries) + " files and folders");
  if (entry.kind == ImageEntry::Kind::folder) open_.push_back(entry.path);
  last_ = entry.path;
  return {};
}

Result<void> TreeReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (content_left_ > 0) {
      const auto part = bytes.substr(0, static_cast<std::size_t>(std::min<std::int64_t>(content_left_, static_cast<std::int64_t>(bytes.size()))));
      if (auto good = content_(part); !good) return good;
      content_left_ -= static_cast<std::int64_t>(part.size());
      bytes.remove_prefix(part.size());
    } else if (padding_left_ > 0) {
      const auto part = bytes.substr(0, padding_left_);
      if (part.find_first_not_of('\0') != std::string_view::npos) return refused("what fills up the last block of a file is not zero");
      padding_left_ -= part.size();
      bytes.remove_prefix(part.size());
    } else if (ended_) {
      return refused("bytes after its end");
    } else {
      auto whole = take_header(bytes);
      if (!whole) return whole.error();
      if (!*whole) return {};
      if (header_.front() == '\0') {
        if (auto good = take_end(); !good) return good;
        continue;
      }
      const ImageEntry entry = guess_entry(header_);
      if (encode_image_entry(entry) != header_) return refused(oddity(header_, entry));
      if (auto good = order_.add(entry); !good) return good;
      content_left_ = entry.size;
      padding_left_ = tree_padding(entry.size);
      header_.clear();
      header_bytes_ = 0;
      if (auto good = entry_(entry); !good) return good;
    }
  }
  return {};
}

/// Collects blocks until a header is whole: the end's two, or an entry's, with its pax header before it.
Result<bool> TreeReader::take_header(std::string_view& bytes) {
  for (;;) {
    const std::size_t wanted = header_bytes_ == 0 ? block : header_bytes_;
    const auto part = bytes.substr(0, wanted - header_.size());
    header_ += part;
    bytes.remove_prefix(part.size());
    if (header_.size() < wanted) return false;
    if (header_bytes_ != 0) return true;
    header_bytes_ = block;
    if (header_.front() == '\0') header_bytes_ = 2 * block;
    if (header_[type_at] != pax_type) continue;
    const auto body = number_in(header_, size_at, long_number_bytes);
    if (!body || *body < 1 || *body > static_cast<std::int64_t>(max_pax_bytes)) return refused("a pax header of an odd size");
    header_bytes_ = 2 * block + static_cast<std::size_t>(*body) + padding(static_cast<std::size_t>(*body));
  }
}

Result<void> TreeReader::take_end() {
  if (header_ != tree_end()) return refused("a header without a name");
  ended_ = true;
  return {};
}

Result<void> TreeReader::finish() const {
  if (!ended_ || content_left_ > 0) return refused("it ends too early");
  return {};
}

}  // namespace tnode
