"""What to ask a teacher, and when: strategies score candidate questions, schedules say how many are due."""
