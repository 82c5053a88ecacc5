"""Join the work of two people: releases, branches."""
