// The names of things: 32-byte ids as distinct types, amounts, times.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace tnode {

/// Raw bytes, as on the wire or on disk.
using Bytes = std::string;

/// Milliseconds since the Unix epoch, or a duration in milliseconds. Core never reads a clock: time is an argument.
using TimeMs = std::int64_t;

/// Integer micro-credits; one credit is 1,000,000. All arithmetic on amounts is checked (core/amount.h).
using Micro = std::int64_t;
inline constexpr Micro credit_micro = 1'000'000;

/// 32 bytes that name something. The tag keeps a task's id from being passed where a key is meant.
template <class Tag>
struct Id {
  std::array<std::uint8_t, 32> bytes{};

  auto operator<=>(const Id&) const = default;
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  bool is_zero() const { return *this == Id{}; }
  /// Exactly 32 bytes, or `invalid`.
  static Result<Id> from_bytes(std::string_view raw) {
    if (raw.size() != 32) return fail(Code::invalid, "an id has 32 bytes, not " + std::to_string(raw.size()));
    Id id;
    for (std::size_t i = 0; i < 32; ++i) id.bytes[i] = static_cast<std::uint8_t>(raw[i]);
    return id;
  }
};

using NodeKey = Id<struct NodeKeyTag>;    ///< Ed25519 public key: a node's name.
using Hash = Id<struct HashTag>;          ///< a SHA-256 without further meaning
using TaskId = Id<struct TaskTag>;        ///< v2 info-hash of a task's torrent
using ResultId = Id<struct ResultTag>;    ///< v2 info-hash of a result's torrent
using OfferId = Id<struct OfferTag>;      ///< SHA-256 of an offer's signed body
using AwardId = Id<struct AwardTag>;      ///< drawn by the requester, unique for each award
using BlockId = Id<struct BlockTag>;      ///< SHA-256 of a block's domain and body

using UnitNumber = std::uint32_t;         ///< 0-based place of a unit in its task

std::string to_hex(std::string_view bytes);
Result<Bytes> from_hex(std::string_view hex);
template <class Tag>
std::string to_hex(const Id<Tag>& id) { return to_hex(id.view()); }
/// The first 12 hex digits: what people see in progress lines.
template <class Tag>
std::string short_hex(const Id<Tag>& id) { return to_hex(id.view().substr(0, 6)); }

/// Same 32 bytes under another name, where a format says that the two coincide.
template <class To, class From>
To rename_id(const Id<From>& id) { To to; to.bytes = id.bytes; return to; }

}  // namespace tnode
