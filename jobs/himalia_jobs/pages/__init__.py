"""What people see of the service in a browser without Lab: pages under `/services/jobs/`, rendered here.

A page is a handler on `base.PageHandler`, a template that extends `base.html`, and a line in `routes.PAGES`.
"""
