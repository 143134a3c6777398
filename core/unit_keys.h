// Unit numbers as keys of a bencoded dictionary: eight lower-case hex digits, so that the order of the bytes is that of the numbers. Pure.
#pragma once
#include "core/types.h"

namespace tnode {

Bytes unit_key(UnitNumber unit);
Result<UnitNumber> unit_of_key(const Bytes& key);

}  // namespace tnode
