// The static program that runs first in every sandbox, as bytes inside this one: nothing has to be found on disk.
#pragma once
#include <string_view>

namespace tnode {

std::string_view init_image();

}  // namespace tnode
