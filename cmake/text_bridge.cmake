# fathom_text_bridge: the Rust crate behind src/text, built by cargo into one static library that
# all build types share (it does not depend on theirs).
set(FATHOM_CARGO_TARGET "${CMAKE_SOURCE_DIR}/build/cargo" CACHE PATH "Where cargo builds")
set(bridge_dir "${CMAKE_SOURCE_DIR}/src/text/bridge")
set(bridge_lib "${FATHOM_CARGO_TARGET}/release/libfathom_text_bridge.a")
find_program(CARGO cargo REQUIRED)
# The compiler that came with this cargo, whatever else PATH holds when ninja runs.
get_filename_component(cargo_dir "${CARGO}" DIRECTORY)
set(bridge_environment "CARGO_TARGET_DIR=${FATHOM_CARGO_TARGET}")
if(EXISTS "${cargo_dir}/rustc")
  list(APPEND bridge_environment "RUSTC=${cargo_dir}/rustc")
endif()
file(GLOB bridge_sources CONFIGURE_DEPENDS "${bridge_dir}/src/*.rs")
add_custom_command(
  OUTPUT "${bridge_lib}"
  COMMAND ${CMAKE_COMMAND} -E env ${bridge_environment}
          ${CARGO} build --release --locked --manifest-path "${bridge_dir}/Cargo.toml"
  COMMAND ${CMAKE_COMMAND} -E touch "${bridge_lib}"
  DEPENDS ${bridge_sources} "${bridge_dir}/Cargo.toml" "${bridge_dir}/Cargo.lock"
  COMMENT "Building the text bridge (Rust)"
  USES_TERMINAL VERBATIM)
add_custom_target(fathom_text_bridge_build DEPENDS "${bridge_lib}")
add_library(fathom_text_bridge STATIC IMPORTED GLOBAL)
set_target_properties(fathom_text_bridge PROPERTIES IMPORTED_LOCATION "${bridge_lib}")
target_link_libraries(fathom_text_bridge INTERFACE dl m pthread)
add_dependencies(fathom_text_bridge fathom_text_bridge_build)
