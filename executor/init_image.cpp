#include "executor/init_image.h"

// TNODE_INIT_PATH is set by CMake to the program built from executor/init/init.c.
asm(R"(
  .section .rodata
  .global tnode_init_begin
  .global tnode_init_end
  .balign 16
tnode_init_begin:
  .incbin ")" TNODE_INIT_PATH R"("
tnode_init_end:
  .byte 0
  .previous
)");

extern "C" const char tnode_init_begin[], tnode_init_end[];

namespace tnode {

std::string_view init_image() { return {tnode_init_begin, static_cast<std::size_t>(tnode_init_end - tnode_init_begin)}; }

}  // namespace tnode
