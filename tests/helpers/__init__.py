"""What tests share: small studies, made-up results, processes, contracts."""
