"""What code is, and what it reaches.

- `bytecode` – compiled code: what it does, without its formatting, and what it names
- `uses` – what compiled code does with what it names
- `modules` – libraries and modules of the project by their names, found without importing them
- `references` – what a function reaches, and where the project ends and libraries begin
- `bindings` – the names by which a definition reaches values, and whether they are still the same
"""
