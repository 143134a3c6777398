#include "core/unit_keys.h"

namespace tnode {

Bytes unit_key(UnitNumber unit) {
  static constexpr char digits[] = "0123456789abcdef";
  Bytes key(8, '0');
  for (std::size_t i = 0; i < 8; ++i) key[i] = digits[unit >> (28 - 4 * i) & 15];
  return key;
}

Result<UnitNumber> unit_of_key(const Bytes& key) {
  auto bytes = from_hex(key);
  if (!bytes || bytes->size() != 4) return fail(Code::invalid, "a unit's key has eight hex digits");
  UnitNumber unit = 0;
  for (unsigned char c : *bytes) unit = unit << 8 | c;
  if (unit_key(unit) != key) return fail(Code::invalid, "a unit's key is in lower case");
  return unit;
}

}  // namespace tnode
