# The ledger with a known bug, made from its sources by changing words in a copy: the sources themselves know nothing of it. Each must be
# caught by the program that tries every crash, with the sentence given.
file(GLOB ledger_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ledger/*.cpp)

# planted_bug(NAME CAUGHT_BY FILE WORDS OTHER_WORDS [FILE WORDS OTHER_WORDS]...)
function(planted_bug name caught_by)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/planted/${name})
  set(sources)
  foreach(source ${ledger_sources})
    file(READ ${source} text)
    get_filename_component(file ${source} NAME)
    set(changes ${ARGN})
    while(changes)
      list(POP_FRONT changes in words other_words)
      if(in STREQUAL file)
        string(FIND "${text}" "${words}" at)
        if(at EQUAL -1)
          message(FATAL_ERROR "planted bug ${name}: '${words}' is not in ${source} any more")
        endif()
        string(REPLACE "${words}" "${other_words}" text "${text}")
      endif()
    endwhile()
    file(GENERATE OUTPUT ${folder}/${file} CONTENT "${text}")
    list(APPEND sources ${folder}/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  endforeach()
  add_executable(ledger_crashes_${name} ${crash_sources} ${sources})
  target_include_directories(ledger_crashes_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(ledger_crashes_${name} PRIVATE tnode_core PkgConfig::SQLITE)
  add_test(NAME ledger_crashes_${name} COMMAND ledger_crashes_${name})
  set_tests_properties(ledger_crashes_${name} PROPERTIES TIMEOUT 600 PASS_REGULAR_EXPRESSION "violation: [^\n]*${caught_by}")
endfunction()

planted_bug(no_sync "(has forgotten a block that it sent|is not opened again: the store .* is damaged)"
  store_open.cpp "PRAGMA synchronous = FULL" "PRAGMA synchronous = OFF")
planted_bug(no_outbox "never reached its payee"
  store.cpp "VALUES (?, ?, ?) ON CONFLICT (bucket, key)" "SELECT ?1, ?2, ?3 WHERE ?1 <> CAST('unclaimed' AS BLOB) ON CONFLICT (bucket, key)")
planted_bug(seq_ignored "a fork at seq .* was not noticed"
  foreign_blocks.cpp "WHERE key = ? AND seq = ?" "WHERE key = ? AND seq = -1 - ?"
  store_open.cpp "PRIMARY KEY (key, seq)" "PRIMARY KEY (id)")
planted_bug(ref_ignored "(two CREDITs on one DEBIT|balances add up to|credited before)"
  store.cpp "auto by_debit = impl_->database->prepare(\"SELECT bytes FROM own WHERE link = ? AND type = 5\")" "auto by_debit = impl_->database->prepare(\"SELECT bytes FROM own WHERE link = ? AND type = 0\")"
  store.cpp "ref = ? AND counterparty = ? AND type = 5" "ref = ? AND counterparty = ? AND type = 0"
  store_open.cpp "CREATE UNIQUE INDEX credit_of" "CREATE INDEX credit_of")
planted_bug(doubt_ignored "a store in doubt signs"
  store.cpp "if (doubt != Doubt::none) return" "if (doubt == Doubt::copied) return")
planted_bug(proof_not_kept "(has lost a proof of fraud|never ends)"
  foreign_blocks.cpp "newly_caught.push_back(fraud.key);" "database->run(\"DELETE FROM frauds\").ok();")
